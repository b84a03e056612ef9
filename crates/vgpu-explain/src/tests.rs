//! Checks of the whole table, and of how a log is read. `tests/explain.rs` has the logs.

use std::collections::BTreeSet;

use super::*;

fn codes(text: &str) -> Vec<&'static str> {
    let mut listener = Listener::new();
    listener.hear(text.as_bytes());
    let findings = listener.findings();
    findings
        .iter()
        .map(|finding| finding.known.code.as_str())
        .collect()
}

fn evidence(text: &str) -> String {
    let mut listener = Listener::new();
    listener.hear(text.as_bytes());
    listener.findings().remove(0).evidence
}

#[test]
fn every_entry_says_what_it_must() {
    let mut seen = BTreeSet::new();
    for known in all_known() {
        let code = known.code.as_str();
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(!code.is_empty() && code.chars().all(is_name), "{code}");
        assert!(seen.insert(code), "{code} is there twice");
        assert_eq!(
            known.patterns.is_empty(),
            known.when == When::Asked,
            "{code}"
        );
        for text in [&known.cause, &known.next, &known.source] {
            assert!(text.len() > 5 && !text.contains("  "), "{code}: {text:?}");
        }
    }
}

#[test]
fn what_something_follows_from_exists() {
    for known in all_known() {
        for wanted in &known.follows {
            let begin = wanted.trim_end_matches('*');
            let exists = all_known().any(|other| match wanted.ends_with('*') {
                true => other.code.starts_with(begin),
                false => other.code == *wanted,
            });
            assert!(exists, "{} follows {wanted}, which is unknown", known.code);
        }
    }
}

#[test]
fn no_pattern_is_so_short_that_it_means_nothing() {
    for known in all_known() {
        for pattern in &known.patterns {
            let letters = pattern.chars().filter(|c| c.is_alphanumeric()).count();
            assert!(letters >= 4, "{}: {pattern:?}", known.code);
        }
    }
}

const WHOLE: &str = "error: vmiop_log: (0x0): vGPU is supported only on VGX capable boards";

#[test]
fn a_message_is_recognised_however_it_was_pasted() {
    for text in [
        WHOLE.to_owned(),
        WHOLE.to_uppercase(),
        format!("> {WHOLE}\r\n"),
        format!("<code>{}</code>", WHOLE.replace(' ', "&nbsp;")),
        WHOLE.replace("supported only", "supported\nonly"),
        WHOLE.replace("supported only", "suppor\n  ted only"),
        WHOLE.replace("supported only", "\x1b[31msupported\x1b[0m only"),
        WHOLE.replace("supported only", "supported#012only"),
        format!(r#"{{"log":"{WHOLE}\n","stream":"stderr"}}"#),
        WHOLE.chars().flat_map(|c| [c, '\0']).collect(),
        format!("  12. {WHOLE}"),
        format!("{}{WHOLE}", "x".repeat(100_000)),
    ] {
        assert_eq!(codes(&text), ["unlock-mgr"], "{text:?}");
    }
}

#[test]
fn the_pieces_in_which_a_log_comes_do_not_matter() {
    let text = format!("first line\n{WHOLE}\nlast line");
    for size in 1..20 {
        let mut listener = Listener::new();
        for piece in text.as_bytes().chunks(size) {
            listener.hear(piece);
        }
        assert_eq!(listener.findings()[0].evidence, WHOLE);
    }
}

#[test]
fn bytes_that_are_no_text_harm_nothing() {
    let mut listener = Listener::new();
    listener.hear(b"\xff\xfe\x80 \xc2\n");
    listener.hear(WHOLE.as_bytes());
    listener.hear(b" \xe2\x80\n\x1b");
    assert_eq!(listener.findings().len(), 1);
}

#[test]
fn evidence_is_the_line_and_of_a_long_one_the_part_that_counts() {
    assert_eq!(evidence(&format!("a\n  {WHOLE}\x07\nb")), WHOLE);
    let long = format!("{}{WHOLE}{}", "x".repeat(3_000), "y".repeat(3_000));
    let quoted = evidence(&long);
    assert!(quoted.len() < 600 && quoted.contains(WHOLE), "{quoted}");
    let wrapped = evidence("vGPU is supported only\non VGX capable boards\n");
    assert_eq!(wrapped, "vGPU is supported only\non VGX capable boards");
}

#[test]
fn words_of_different_messages_are_not_put_together() {
    let apart =
        "[    1.004512] error getting device from group 7: x\n[    2.004512] Input/output error\n";
    assert!(codes(apart).is_empty());
    let wrapped = "error getting device from group 7: vfio x:\n  Input/output error\n";
    assert_eq!(codes(wrapped), ["plugin-refused"]);
}

#[test]
fn what_was_heard_before_the_end_of_a_log_does_not_go_on_in_the_next() {
    let mut listener = Listener::new();
    listener.hear(b"vGPU is supported only ");
    listener.end();
    listener.hear(b"on VGX capable boards");
    assert!(listener.findings().is_empty());
}

#[test]
fn a_flood_of_one_message_is_one_finding_and_does_not_hide_another() {
    let mut listener = Listener::new();
    for _ in 0..20_000 {
        listener.hear(b"start failed. status: 0x1\n");
    }
    listener.hear(b"multiple vGPUs in a VM not supported\n");
    let findings = listener.findings();
    let codes: Vec<&str> = findings
        .iter()
        .map(|finding| finding.known.code.as_str())
        .collect();
    assert_eq!(codes, ["several-vgpus"]);
}

#[test]
fn our_own_errors_find_their_hints() {
    for code in ["create-refused", "remove-in-use"] {
        assert_eq!(hints(code, "vgpu").count(), 2, "{code}");
    }
}
