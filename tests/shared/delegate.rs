//! The service that does what users ask root for, as systemd would start it on a simulated host.

use std::cell::Cell;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{JoinHandle, spawn};

use nix::sys::socket::{Shutdown, getsockopt, shutdown, sockopt::PeerCredentials};

use crate::harness::SimHost;

/// Who is being served, and how many connections of this process there were.
#[derive(Default)]
struct Served {
    all: Mutex<(Vec<Child>, usize)>,
    one_more: Condvar,
}

/// The socket of systemd's, which starts the service for each connection.
pub struct Service {
    socket: PathBuf,
    listener: UnixListener,
    served: Arc<Served>,
    connected: Cell<usize>,
    log: PathBuf,
    accepting: Option<JoinHandle<()>>,
}

impl Service {
    pub fn start(host: &SimHost) -> Service {
        let socket = host.path("run/vgpuctl-delegate.socket");
        fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let listener = UnixListener::bind(&socket).unwrap();
        set_mode(&socket, 0o666);
        let log = host.path("run/delegate.log");
        let file = fs::File::create(&log).unwrap();
        let served = Arc::new(Served::default());
        let shared = (listener.try_clone().unwrap(), Arc::clone(&served));
        let root = host.root().to_owned();
        let accepting = spawn(move || {
            let (listener, served) = shared;
            // Until it is shut down.
            while let Ok((stream, _)) = listener.accept() {
                let peer = getsockopt(&stream, PeerCredentials).unwrap().pid();
                let mut command = serving(&root, stream);
                let child = command.stderr(file.try_clone().unwrap()).spawn();
                // Its connection is to end with it.
                drop(command);
                let mut all = served.all.lock().unwrap();
                all.0.push(child.unwrap());
                all.1 += usize::from(peer.unsigned_abs() == std::process::id());
                served.one_more.notify_all();
            }
        });
        Service {
            socket,
            listener,
            served,
            connected: Cell::new(0),
            log,
            accepting: Some(accepting),
        }
    }

    pub fn connect(&self) -> UnixStream {
        self.connected.set(self.connected.get() + 1);
        UnixStream::connect(&self.socket).unwrap()
    }

    /// What it wrote into its log, once everybody is served.
    pub fn log(&self) -> String {
        let all = self.served.all.lock().unwrap();
        let is_missing = |all: &mut (Vec<Child>, usize)| all.1 < self.connected.get();
        let mut all = self.served.one_more.wait_while(all, is_missing).unwrap();
        for mut child in all.0.drain(..) {
            assert!(child.wait().unwrap().success());
        }
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // The host may have been rebooted, and the socket's name be gone.
        let _ = shutdown(self.listener.as_raw_fd(), Shutdown::Both);
        let _ = self.accepting.take().map(JoinHandle::join);
        for mut child in self.served.all.lock().unwrap().0.drain(..) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The service for one connection, not yet started.
fn serving(root: &Path, stream: UnixStream) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vgpuctl"));
    command
        .arg("serve-request")
        .env("VGPUCTL_ROOT", root)
        .env_remove("SUDO_UID")
        .env_remove("LD_LIBRARY_PATH")
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(stream)))
        .stdout(Stdio::null());
    command
}

/// Sets a file's mode.
pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Writes the policy, as root would.
pub fn allow(host: &SimHost, text: &str) -> PathBuf {
    let path = host.path("etc/vgpuctl/policy.toml");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    for dir in [host.path("etc"), host.path("etc/vgpuctl")] {
        set_mode(&dir, 0o755);
    }
    fs::write(&path, text).unwrap();
    set_mode(&path, 0o644);
    path
}
