//! bash, zsh and fish with vgpuctl's completions as `make install` puts them.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use tempfile::TempDir;

use crate::harness::SimHost;

/// The program, its completions and a shell's settings, in a folder of their own.
pub struct Installed(TempDir);

impl Installed {
    #[track_caller]
    pub fn new() -> Installed {
        let dir = tempfile::tempdir().unwrap();
        let made = Command::new("make")
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["-s", "install", "PREFIX=/usr"])
            .arg(format!("DESTDIR={}", dir.path().display()))
            .arg(format!("BINARY={}", env!("CARGO_BIN_EXE_vgpuctl")))
            .env_remove("MAKEFLAGS")
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        Installed(dir)
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    fn write(&self, below: &str, text: &str) {
        std::fs::write(self.path(below), text).unwrap();
    }

    /// A shell in which this is what is installed, on that host.
    fn shell(&self, host: &SimHost, words: &[&str]) -> Command {
        let mut command = Command::new(words[0]);
        let path = std::env::var("PATH").unwrap();
        command
            .args(&words[1..])
            .env("PATH", format!("{}:{path}", self.path("usr/bin").display()))
            .env(
                "XDG_DATA_DIRS",
                format!("{}:/usr/share", self.path("usr/share").display()),
            )
            .env("HOME", self.0.path())
            .env("XDG_CONFIG_HOME", self.0.path())
            .env("ZDOTDIR", self.0.path())
            .env("VGPUCTL_ROOT", host.root())
            .env("TERM", "dumb")
            .env_remove("LD_LIBRARY_PATH");
        command
    }
}

/// A shell with a terminal, into which keys are typed.
struct Typing {
    shell: Child,
    keys: ChildStdin,
    screen: BufReader<std::process::ChildStdout>,
}

/// What the shell's settings make of a line when it is run: its words, between two marks.
const ANSWER: &str =
    "answer() { printf '\\n@%s' 'words'; printf ' <%s>' \"$@\"; printf ' @%s\\n' 'end'; }\n";

impl Typing {
    fn start(command: &mut Command) -> Typing {
        let mut shell = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let keys = shell.stdin.take().unwrap();
        let screen = BufReader::new(shell.stdout.take().unwrap());
        let mut typing = Typing {
            shell,
            keys,
            screen,
        };
        // The first answer comes when the shell has read its settings.
        assert_eq!(typing.words("vgpuctl", ""), ["vgpuctl"]);
        typing
    }

    /// The words of the line after these keys; complains of anything that was printed meanwhile.
    #[track_caller]
    fn words(&mut self, line: &str, keys: &str) -> Vec<String> {
        // To the line's begin, to have its words printed instead of run.
        write!(self.keys, "{line}{keys}\x01answer \r").unwrap();
        self.keys.flush().unwrap();
        let mut seen = String::new();
        loop {
            let mut part = Vec::new();
            self.screen.read_until(b'\n', &mut part).unwrap();
            assert!(!part.is_empty(), "the shell ended: {seen}");
            let part = String::from_utf8_lossy(&part).into_owned();
            if let Some(found) = part.strip_prefix("@words ") {
                for trouble in ["rror", "hint:", "not found", "No such", "ermission", "bad "] {
                    assert!(!seen.contains(trouble), "{line}: {seen}");
                }
                let found = found.split(" @end").next().unwrap();
                let words = found.split(' ').map(|word| word.trim_matches(['<', '>']));
                return words.map(str::to_owned).collect();
            }
            seen += &part;
        }
    }
}

impl Drop for Typing {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

/// Says what a shell offers for the end of a line.
pub trait Offers {
    /// The candidates for the line's last word.
    fn offers(&mut self, line: &str) -> BTreeSet<String>;
    /// The whole line after one Tab.
    fn tab(&mut self, line: &str) -> String;
}

/// bash and zsh, whose settings here put all candidates into the line when asked by these keys.
pub struct InLine {
    typing: Typing,
    all: &'static str,
}

impl Offers for InLine {
    fn offers(&mut self, line: &str) -> BTreeSet<String> {
        let before = line.rsplit_once(' ').unwrap().0.split(' ').count();
        let words = self.typing.words(line, self.all);
        let typed = line.rsplit_once(' ').unwrap().1;
        let offered = words.into_iter().skip(before);
        offered.filter(|word| word != typed).collect()
    }

    fn tab(&mut self, line: &str) -> String {
        self.typing.words(line, "\t").join(" ")
    }
}

pub fn bash(installed: &Installed, host: &SimHost) -> InLine {
    let settings = "source /usr/share/bash-completion/bash_completion\n\
                    bind 'set bell-style none' 'set enable-bracketed-paste off'\n\
                    bind '\"\\C-xa\": insert-completions'\nPS1='> '\n";
    installed.write("bashrc", &format!("{ANSWER}{settings}"));
    let start = format!(
        "stty cols 4000 rows 50 && exec bash --noprofile --rcfile {} -i",
        installed.path("bashrc").display()
    );
    let mut command = installed.shell(host, &["script", "-qec", &start, "/dev/null"]);
    InLine {
        typing: Typing::start(&mut command),
        all: "\x18a",
    }
}

pub fn zsh(installed: &Installed, host: &SimHost) -> InLine {
    let functions = installed.path("usr/share/zsh/site-functions");
    let settings = format!(
        "fpath=({} $fpath)\nautoload -U compinit\ncompinit -u -D\nbindkey -e\nunsetopt beep prompt_cr\n\
         zle -C all-matches complete-word _generic\nbindkey '^Xa' all-matches\n\
         zstyle ':completion:all-matches:*' completer _all_matches _complete\n\
         zstyle ':completion:all-matches:*' insert yes\nunset zle_bracketed_paste\nPS1='> '\n",
        functions.display()
    );
    installed.write(".zshrc", &format!("{ANSWER}{settings}"));
    let start = "stty cols 4000 rows 50 && exec zsh -d -i";
    let mut command = installed.shell(host, &["script", "-qec", start, "/dev/null"]);
    InLine {
        typing: Typing::start(&mut command),
        all: "\x18a",
    }
}

/// fish, which can be asked without a terminal.
pub struct Fish<'a>(pub &'a Installed, pub &'a SimHost);

impl Offers for Fish<'_> {
    fn offers(&mut self, line: &str) -> BTreeSet<String> {
        let ask = format!("complete -C '{line}'");
        let output = self
            .0
            .shell(self.1, &["fish", "-c", &ask])
            .output()
            .unwrap();
        assert!(output.stderr.is_empty(), "{line}: {output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let words = text.lines().map(|line| line.split('\t').next().unwrap());
        words.map(str::to_owned).collect()
    }

    fn tab(&mut self, line: &str) -> String {
        let mut offered = self.offers(line).into_iter();
        let (before, _) = line.rsplit_once(' ').unwrap();
        let only = offered.next().unwrap_or_default();
        assert_eq!(offered.next(), None, "{line}");
        format!("{before} {only}")
    }
}
