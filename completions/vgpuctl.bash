# bash completion for vgpuctl: the program itself says what may come, from what the host has now.

_vgpuctl() {
    local cur words cword breaks head line
    # Addresses have colons and options may have "=", both of which break words for readline.
    if declare -F _comp_get_words >/dev/null; then
        _comp_get_words -n := cur words cword
    else
        _get_comp_words_by_ref -n := cur words cword
    fi
    COMPREPLY=()
    while IFS= read -r line; do
        printf -v line %q "${line%%$'\t'*}"
        COMPREPLY+=("$line")
    done < <("${words[0]}" __complete "${words[@]:1:cword-1}" "$cur" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[=/] ]]; then
        compopt -o nospace
    fi
    # Readline replaces only what follows the last break.
    breaks=${COMP_WORDBREAKS//[^:=]/}
    if [[ -n $breaks ]]; then
        head=${cur%"${cur##*[$breaks]}"}
        COMPREPLY=("${COMPREPLY[@]#"$head"}")
    fi
}
complete -o nosort -F _vgpuctl vgpuctl
