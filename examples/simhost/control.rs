//! `simhost ctl`: commands to a running host through a socket in `ROOT/run/simhost`.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::faults::{Broken, errno_by_name};
use crate::host::Host;
use crate::root::Root;
use crate::shared::Shared;
use crate::smi::Printed;
use crate::sriov::SriovManage;
use crate::state::{Faults, Stage};

/// The commands of `simhost ctl`.
pub const COMMANDS: &str =
    "  reboot                           all devices go, detached parents are back; run is emptied
  mend                             nothing is delayed, failing or broken any more
  status                           one JSON object on one line
  delay-create MS                  each create takes MS milliseconds, one after the other on a GPU
  delay-remove MS                  each remove takes MS milliseconds
  fail-create N ERRNO              the Nth create from now fails and makes nothing
  fail-remove N ERRNO              the Nth remove from now fails and removes nothing
  fail-attr NAME ERRNO             the next write to that device attribute fails
  fail-bind N ERRNO                the Nth write from now to a driver's bind fails and binds nothing
  stick-remove                     the next remove says it worked, and the device stays
  detach PARENT                    the parent's driver goes, and all its devices
  take PARENT DRIVER               another driver, such as vfio-pci, has the parent instead of its own
  attach PARENT                    it comes back, without devices
  attach-after PARENT MS           the same, MS milliseconds from now
  sriov-manage -e|-d PF|ALL        as NVIDIA's script, which is in ROOT/usr/lib/nvidia
  vfs PF N                         so many virtual functions are on, as by another program
  nvidia-smi vgpu -shm 0|1 -i GPU  one size or several on a GPU without vGPUs, as ROOT/usr/bin/nvidia-smi
  nvidia-smi vgpu set-scheduler-state -i GPU -p 1|2|3 ...   the scheduler of a GPU without vGPUs
  scheduler GPU                    the options that set it; empty after a reboot
  nvidia-smi mig ..., -mig 0|1     GPU instances and MIG mode, as the same program
  nvidia-smi --query-gpu=...       index, pci.bus_id, mig.mode.current, mig.mode.pending
  sriov-manage-is HOW              HOW: works, no-vfs, unbindLock, race, race N
  plugin-exit MS                   a VF stays busy so long after it was closed
  break PARENT/TYPE/FILE HOW       HOW: missing, empty, garbage, eio, or ok to mend it
  break PARENT/FILE HOW            also a directory, as mdev_supported_types
  break UUID/FILE HOW              a file or link of a device
";

/// A short path to the socket, independent of the length of ROOT (socket paths are limited to 107 bytes).
fn socket_path(dir: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/control", dir.as_raw_fd()))
}

fn open_dir(dir: &Path) -> Result<File, String> {
    File::open(dir).map_err(|e| format!("{}: {e}", dir.display()))
}

/// Sends a command to the host under `root` and returns the answer.
pub fn send(root: &Path, words: &[String]) -> Result<Printed, String> {
    let dir = open_dir(&root.join("run/simhost"))?;
    let none = |e| format!("no simhost answers under {}: {e}", root.display());
    let mut stream = UnixStream::connect(socket_path(&dir)).map_err(none)?;
    stream
        .write_all(format!("{}\n", words.join(" ")).as_bytes())
        .map_err(none)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(none)?;
    match answer.split_once('\n') {
        Some((first, text)) => match first.strip_prefix("exit ").map(str::parse) {
            Some(Ok(status)) => Ok(Printed {
                text: text.to_owned(),
                status,
            }),
            _ => Err(text.trim_end().to_owned()),
        },
        None => Err("simhost closed the connection".to_owned()),
    }
}

/// Whether a simhost is running under this root.
pub fn answers(root: &Path) -> bool {
    let Ok(dir) = open_dir(&root.join("run/simhost")) else {
        return false;
    };
    UnixStream::connect(socket_path(&dir)).is_ok()
}

/// Starts to accept commands.
pub fn listen(root: &Root, shared: &Arc<Shared>) -> Result<(), String> {
    let dir = open_dir(&root.control_dir())?;
    let path = socket_path(&dir);
    // A killed simhost leaves its socket behind.
    let _ = fs::remove_file(&path);
    let listener = UnixListener::bind(&path).map_err(|e| format!("control socket: {e}"))?;
    let (root, shared) = (root.clone(), Arc::clone(shared));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (root, shared) = (root.clone(), Arc::clone(&shared));
            thread::spawn(move || serve(stream, &root, &shared));
        }
    });
    Ok(())
}

fn serve(mut stream: UnixStream, root: &Root, shared: &Arc<Shared>) {
    let mut line = String::new();
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    if BufReader::new(&stream).read_line(&mut line).is_err() {
        return;
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let answer = match run(&words, root, shared) {
        Ok(Printed { text, status }) => format!("exit {status}\n{text}"),
        Err(text) => format!("error\n{text}\n"),
    };
    // Wake waiting creates and removes after every command.
    shared.announce();
    // Ignore errors if the client has disconnected.
    let _ = stream.write_all(answer.as_bytes());
}

fn run(words: &[&str], root: &Root, shared: &Arc<Shared>) -> Result<Printed, String> {
    let text = match words {
        ["nvidia-smi", "vgpu", "-shm", mode, "-i", gpu] => shared.lock().mix_sizes(mode, gpu)?,
        ["nvidia-smi", "vgpu", "set-scheduler-state", rest @ ..] => {
            shared.lock().set_scheduler(rest)?
        }
        ["scheduler", gpu] => shared.lock().scheduler(gpu),
        ["nvidia-smi", "-q", "-i", gpu] => shared.lock().query_gpu(gpu)?,
        ["nvidia-smi", arguments @ ..] => return Ok(shared.lock().nvidia_smi(arguments)),
        _ => obey(words, root, shared)?,
    };
    Ok(Printed { text, status: 0 })
}

fn obey(words: &[&str], root: &Root, shared: &Arc<Shared>) -> Result<String, String> {
    let mut host = shared.lock();
    match words {
        ["status"] => return Ok(format!("{}\n", status(&host))),
        ["reboot"] => {
            host.reboot();
            root.empty_run()?;
        }
        ["mend"] => {
            host.faults = Faults::default();
            host.sys.mend();
        }
        ["delay-create", ms] => host.faults.delay_create = milliseconds(ms)?,
        ["delay-remove", ms] => host.faults.delay_remove = milliseconds(ms)?,
        ["fail-create", n, errno] => {
            let errno = errno_by_name(errno)?;
            host.faults.create.add(nth(n)?, errno);
        }
        ["fail-remove", n, errno] => {
            let errno = errno_by_name(errno)?;
            host.faults.remove.add(nth(n)?, errno);
        }
        ["fail-attr", name, errno] => {
            let errno = errno_by_name(errno)?;
            host.faults.attr.push(((*name).to_owned(), errno));
        }
        ["fail-bind", n, errno] => {
            let errno = errno_by_name(errno)?;
            host.faults.bind.add(nth(n)?, errno);
        }
        ["stick-remove"] => host.faults.stick_remove += 1,
        ["sriov-manage", switch, which] => return host.sriov_manage(switch, which),
        ["vfs", pf, count] => {
            let count = count.parse().map_err(|_| format!("{count}: no number"))?;
            host.switch_vfs(pf, count)?;
        }
        ["sriov-manage-is", how @ ..] => host.faults.sriov_manage = SriovManage::by_name(how)?,
        ["plugin-exit", ms] => host.faults.plugin_exit = milliseconds(ms)?,
        ["detach", parent] => host.detach(parent)?,
        ["take", parent, driver] => host.take(parent, driver)?,
        ["attach", parent] => host.attach(parent)?,
        ["attach-after", parent, ms] => {
            let (after, parent) = (milliseconds(ms)?, (*parent).to_owned());
            host.check_detached(&parent)?;
            let shared = Arc::clone(shared);
            thread::spawn(move || {
                thread::sleep(after);
                // It may have been attached manually in the meantime.
                let _ = shared.lock().attach(&parent);
            });
        }
        ["break", what, how] => {
            let how = Broken::by_name(how)?;
            let path = host.path_of(what)?;
            host.sys.set_broken(&path, how);
        }
        _ => return Err(format!("no such command; there are:\n{COMMANDS}")),
    }
    Ok(String::new())
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    let ms = text.parse().map(Duration::from_millis);
    ms.map_err(|_| format!("\"{text}\" is not a number of milliseconds"))
}

fn nth(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err(format!("\"{text}\" is not a count from 1 (the next)")),
    }
}

fn status(host: &Host) -> Value {
    let parents: Vec<Value> = host
        .spec
        .parents
        .iter()
        .chain(&host.vfs)
        .map(|p| {
            let types: Map<String, Value> = p
                .types
                .iter()
                .map(|t| {
                    (
                        t.id.clone(),
                        json!(host.available(&p.id, &t.id).unwrap_or(0)),
                    )
                })
                .collect();
            json!({
                "id": p.id,
                "attached": host.attached.contains(&p.id),
                "available": types,
            })
        })
        .collect();
    let devices: Vec<Value> = host
        .devices
        .iter()
        .map(|(uuid, d)| {
            json!({
                "uuid": uuid,
                "parent": d.parent,
                "type": d.type_id,
                "stage": match d.stage {
                    Stage::Creating => "creating",
                    Stage::Active => "active",
                    Stage::Removing => "removing",
                },
                "group": d.group,
                "vfio": format!("vfio{}", d.vfio),
                "vgpu_params": d.params,
                "matrix": d.matrix.lines(),
            })
        })
        .collect();
    let vfs: Vec<Value> = host
        .vendor_vfs
        .iter()
        .map(|(id, vf)| {
            json!({
                "id": id,
                "type": vf.current.as_ref().map_or(0, |c| c.id),
                "group": vf.group,
                "vgpu_params": vf.params,
            })
        })
        .collect();
    let opens: Vec<Value> = host
        .opens
        .values()
        .map(|o| json!({ "uuid": o.uuid, "file": o.file(), "pid": o.pid }))
        .collect();
    let c = host.counters;
    json!({
        "parents": parents,
        "devices": devices,
        "vendor_vfs": vfs,
        "open": opens,
        "create_writes": c.create_writes,
        "created": c.created,
        "remove_writes": c.remove_writes,
        "removed": c.removed,
        "binds": c.binds,
        "sriov_calls": c.sriov_calls,
        "reboots": c.reboots,
        "faults": {
            "fail_create": host.faults.create.len(),
            "fail_remove": host.faults.remove.len(),
            "fail_attr": host.faults.attr.len(),
            "stick_remove": host.faults.stick_remove,
        },
    })
}
