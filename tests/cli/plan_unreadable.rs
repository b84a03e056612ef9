//! `plan` and `apply` where something cannot be read: it is named with its path and left as it is,
//! and all else is planned and done.

use std::os::unix::fs::symlink;
use std::path::Path;

use crate::harness::Run;
use crate::helpers::{P1, P2, definition, put, put_auto, uuid};
use crate::plan::{apply, file, host, plan};

const BAD: [&str; 4] = ["", "{", "[]", "{\"mdev_type\":\"nvidia-63\"}"];

const TWO: &str = "[[group]]\nname = \"a\"\ntype = \"P4-1Q\"\ncount = 2\n";

/// The path stands in one line with what is wrong, and there is a next step, each once.
#[track_caller]
fn named(run: &Run, sign: &str, path: &Path) {
    let said = format!("{}{}", run.stdout, run.stderr);
    let path = path.to_str().unwrap();
    let lines: Vec<&str> = said.lines().filter(|line| line.contains(path)).collect();
    assert_eq!(lines.len(), 1, "{run:#?}");
    assert!(lines[0].starts_with(sign), "{run:#?}");
    let hints = said.lines().filter(|line| line.starts_with("hint: "));
    assert_eq!(hints.count(), 1, "{run:#?}");
}

#[test]
fn a_definition_that_is_nobodys_business_is_told_and_the_rest_done() {
    for bad in BAD {
        let host = host("two-p4");
        let path = put(&host, P1, &uuid(1), bad);
        let run = plan(&host, TWO).expect(2);
        assert!(run.stdout.ends_with("2 to create\n"), "{run:#?}");
        named(&run, "warning: ", &path);
        named(&apply(&host, TWO).expect(0), "warning: ", &path);
        named(&plan(&host, TWO).expect(0), "warning: ", &path);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), bad);
    }
}

#[test]
fn a_definition_that_is_to_go_is_blocked_and_stays() {
    for bad in BAD {
        let host = host("two-p4");
        let path = put(&host, P1, &uuid(1), bad);
        put_auto(&host, P2, &uuid(2), "nvidia-63");
        let text = format!("unlisted = \"remove\"\n{TWO}");
        let run = plan(&host, &text).expect(2);
        named(&run, "! blocked ", &path);
        let run = apply(&host, &text).expect(7);
        named(&run, "! blocked ", &path);
        assert!(
            run.stderr.contains("1 created, 1 changed, 1 blocked"),
            "{run:#?}"
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), bad);
        // The next time there is nothing else.
        named(&apply(&host, &text).expect(1), "! blocked ", &path);
        std::fs::remove_file(&path).unwrap();
        plan(&host, &text).expect(0);
    }
}

#[test]
fn the_definition_of_a_member_is_blocked_and_not_written_over() {
    let host = host("two-p4");
    let text = format!(
        "[[group]]\nname = \"a\"\ntype = \"P4-1Q\"\nuuids = [\"{}\", \"{}\"]\n",
        uuid(1),
        uuid(2)
    );
    let path = put(&host, P2, &uuid(1), "{");
    named(&plan(&host, &text).expect(2), "! blocked ", &path);
    named(&apply(&host, &text).expect(7), "! blocked ", &path);
    assert_eq!(host.active(), [uuid(2)]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{");
    let json = host
        .run_args([
            "plan".as_ref(),
            "--json".as_ref(),
            file(&host, &text).as_os_str(),
        ])
        .expect(2)
        .json();
    let blocked = &json["plan"]["changes"][0];
    assert_eq!(blocked["action"], "blocked");
    assert_eq!(blocked["error"]["path"], path.to_str().unwrap());
}

#[test]
fn an_active_device_whose_definition_cannot_be_read_is_left_running() {
    let host = host("two-p4");
    host.run(&format!("create -t P4-1Q -p {P1} -u {}", uuid(1)))
        .expect(0);
    let path = put(&host, P1, &uuid(1), "{");
    let remove = "unlisted = \"remove\"\n";
    for text in [remove.to_owned(), format!("{remove}{TWO}")] {
        let run = plan(&host, &text).expect(2);
        named(&run, "! blocked ", &path);
        assert!(!run.stdout.contains("- remove"), "{run:#?}");
        let status = apply(&host, &text).status;
        assert!([1, 7].contains(&status), "{status}");
        assert!(host.active().contains(&uuid(1)));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{");
    }
    // The two were made beside it.
    assert_eq!(host.active().len(), 3);
}

#[test]
fn what_is_no_file_is_left_where_it_is() {
    let host = host("two-p4");
    let folder = definition(&host, P1, &uuid(1));
    std::fs::create_dir_all(&folder).unwrap();
    let text = format!("unlisted = \"remove\"\n{TWO}");
    named(&apply(&host, &text).expect(7), "! blocked ", &folder);
    assert!(folder.is_dir());
    std::fs::remove_dir(&folder).unwrap();
    let nowhere = definition(&host, P1, &uuid(2));
    symlink("/nonexistent/definition", &nowhere).unwrap();
    named(&apply(&host, &text).expect(1), "! blocked ", &nowhere);
    assert!(nowhere.is_symlink());
}

#[test]
fn the_same_holds_for_definitions_on_functions_that_take_types() {
    let host = host("l40s");
    let gpu = "0000:41:00.0";
    let folder = host.path("etc/vgpuctl.d").join(gpu);
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(uuid(1));
    std::fs::write(&path, "{").unwrap();
    let two = TWO.replace("P4-1Q", "L40S-8Q");
    named(&apply(&host, &two).expect(0), "warning: ", &path);
    let remove = format!("unlisted = \"remove\"\n{two}");
    named(&apply(&host, &remove).expect(1), "! blocked ", &path);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{");
    assert_eq!(host.defined_functions(gpu).len(), 3);
    // A GPU's settings that make no sense are told, and stay as they are too.
    std::fs::remove_file(&path).unwrap();
    let settings = folder.join("gpu.conf");
    std::fs::write(&settings, "mixed-sizes = perhaps\n").unwrap();
    named(&plan(&host, &remove).expect(0), "warning: ", &settings);
    assert!(settings.is_file());
}

/// Whoever reads only the exit status must not take a GPU that could not be read for one that is as
/// declared.
#[test]
fn where_each_gpu_is_meant_one_that_cannot_be_read_is_no_success() {
    let host = host("two-p4");
    host.ctl(&["break", &format!("{P2}/mdev_supported_types"), "eio"]);
    let each = TWO.replace("count", "per-gpu");
    apply(&host, &each).expect(7);
    assert_eq!(host.active().len(), 2);
    for verb in ["plan", "assert"] {
        let run = host
            .run_args([verb.as_ref(), file(&host, &each).as_os_str()])
            .expect(1);
        assert!(
            run.stderr
                .contains(&format!("warning: {P2} offers no types")),
            "{run:#?}"
        );
    }
    // Nobody asked for that GPU.
    let here = "[[group]]\nname = \"b\"\ntype = \"P4-1Q\"\nnames = [\"x\"]\n";
    apply(&host, here).expect(0);
    plan(&host, here).expect(0);
    host.ctl(&["mend"]);
    plan(&host, &each).expect(2);
}
