# fish completion for vgpuctl: the program itself says what may come, from what the host has now.

function __vgpuctl_words
    set -l words (commandline -opc)
    set -l current (commandline -ct | string unescape)
    $words[1] __complete $words[2..] "$current" 2>/dev/null
end
complete -c vgpuctl -f -k -a '(__vgpuctl_words)'
