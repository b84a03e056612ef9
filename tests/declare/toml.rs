//! vgpuctl's own form.

use proptest::prelude::*;
use uuid::Uuid;
use vgpuctl::capacity::Placement;
use vgpuctl::declare::{
    Amount, Declaration, GpuChoice, GpuName, GpuSetup, Group, Member, Members, Unlisted, parse,
    write,
};
use vgpuctl::model::{Attr, StartMode, TypeId, proxmox_uuid};
use vgpuctl::store::{FunctionsAtBoot, Sizes};

use super::{source, told, without_lines};

const WHOLE: &str = r#"version = 1
unlisted = "remove-own"

[[group]]
name = "desks"
type = "P4-1Q"
count = 4

[[group]]
name = "render"
type = "nvidia-65"
per-gpu = "max"
gpus = ["81:00.0", 1, "Tesla P4"]
placement = "spread"
start = "manual"
params = { frame_rate_limiter = 0, disable_vnc = 1 }

[[group]]
name = "people"
type = "GRID P4-2Q"
names = ["alice", { name = "bob", uuid = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001" }]
gpus = "any"

[[group]]
name = "vms"
type = "P4-4Q"
vms = [100, "101:1"]
gpus = 0

[[group]]
name = "crypto"
type = "vfio_ap-passthrough"
uuids = ["aaaaaaaa-509f-382f-3c1e-e6bfe0fa1001"]
gpus = "matrix"
attrs = ["assign_adapter=5", "assign_domain=4", "assign_domain=0xab"]
"#;

#[test]
fn a_whole_file_means_what_it_says() {
    let reading = parse(&source(WHOLE)).unwrap();
    assert_eq!(reading.notes, [""; 0]);
    let declaration = reading.declaration;
    assert_eq!(declaration.unlisted, Unlisted::RemoveOwn);
    let [desks, render, people, vms, crypto] = declaration.groups.as_slice() else {
        panic!("{:?}", declaration.groups);
    };
    assert_eq!(desks.members, Members::Count(4));
    assert_eq!((desks.line, render.line), (4, 9));
    assert_eq!(
        (&desks.gpus, desks.placement, desks.start),
        (&GpuChoice::Any, Placement::Pack, StartMode::Auto)
    );
    assert_eq!(render.members, Members::PerGpu(Amount::MAX));
    let text = |text: &str| GpuName::Text(text.to_owned());
    assert_eq!(
        render.gpus,
        GpuChoice::These(vec![
            text("0000:81:00.0"),
            GpuName::Index(1),
            text("Tesla P4")
        ])
    );
    assert_eq!(
        (render.placement, render.start),
        (Placement::Spread, StartMode::Manual)
    );
    let attrs: Vec<String> = render.attrs.iter().map(Attr::to_string).collect();
    assert_eq!(
        attrs,
        ["nvidia/vgpu_params=frame_rate_limiter=0, disable_vnc=1"]
    );
    let uuids = |group: &Group| match &group.members {
        Members::Listed(members) => members
            .iter()
            .map(|member| (member.key.to_string(), member.uuid))
            .collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let uuid = |text: &str| Some(text.parse::<Uuid>().unwrap());
    assert_eq!(
        uuids(people),
        [
            ("alice".to_owned(), None),
            (
                "bob".to_owned(),
                uuid("83b8f4f2-509f-382f-3c1e-e6bfe0fa1001")
            )
        ]
    );
    assert_eq!(
        uuids(vms),
        [
            ("100".to_owned(), proxmox_uuid(100, 0).ok()),
            ("101.1".to_owned(), proxmox_uuid(101, 1).ok())
        ]
    );
    assert_eq!(crypto.attrs.len(), 3);
    assert_eq!(
        uuids(crypto)[0].1,
        uuid("aaaaaaaa-509f-382f-3c1e-e6bfe0fa1001")
    );
}

#[test]
fn each_slip_is_told_with_its_line_and_what_would_be_right() {
    let group =
        |lines: &str| format!("version = 1\n[[group]]\nname = \"a\"\ntype = \"t\"\n{lines}\n");
    let cases = [
        (
            String::new(),
            vec!["f:1: the file does not set its version: begin it with version = 1"],
        ),
        (
            "version = 2".into(),
            vec!["f:1: version 2 is not supported: write version = 1"],
        ),
        (
            "version = 1\nunlsted = \"keep\"".into(),
            vec!["f:2: the file has no key \"unlsted\"; did you mean unlisted?"],
        ),
        (
            "version = 1\nunlisted = \"drop\"".into(),
            vec!["f:2: unlisted takes \"keep\" or \"remove\" or \"remove-own\", not \"drop\""],
        ),
        (
            "version = 1\nunlisted = {}".into(),
            vec!["f:2: unlisted lacks remove-on = [GPU, ...]"],
        ),
        (
            "version = 1\nunlisted = { remove-on = [0], but = [63, \"nvidia-65\"] }".into(),
            vec!["f:2: but takes a string, not 63"],
        ),
        (
            "version = 1\n[group]\nname = \"a\"".into(),
            vec!["f:2: group is a list: write [[group]], with two brackets, above each group"],
        ),
        (
            "version = 1\n[[group]]\n".into(),
            vec![
                "f:2: the group has no name, from which the UUIDs of its vGPUs are derived: write name = \"desks\"",
                "f:2: this group has no type: write type = \"P4-1Q\" or type = \"nvidia-63\"",
                "f:2: this group does not say which vGPUs it has: write count = 2, or one of per-gpu, names, vms, uuids",
            ],
        ),
        (
            group("cuont = 1\ncount = 1"),
            vec!["f:5: group a has no key \"cuont\"; did you mean count?"],
        ),
        (
            group("per_gpu = 1\ncount = 1"),
            vec!["f:5: group a has no key \"per_gpu\"; did you mean per-gpu?"],
        ),
        (
            group("count = 1\nnames = []"),
            vec!["f:6: group a has count and names: only one of them is allowed"],
        ),
        (
            group("count = -1"),
            vec!["f:5: count takes a whole number from 0 to 4096, not -1"],
        ),
        (
            group("count = \"2\""),
            vec!["f:5: count takes a whole number from 0 to 4096, not \"2\""],
        ),
        (
            group("count = 99999999999999999999"),
            vec!["f:5: count takes a whole number from 0 to 4096, not 99999999999999999999"],
        ),
        (
            group("per-gpu = true"),
            vec!["f:5: per-gpu takes a number, \"max\" or { max = 4 }, not true"],
        ),
        (
            group("names = \"alice\""),
            vec!["f:5: names takes a list such as [\"alice\", \"bob\"], not \"alice\""],
        ),
        (
            group("names = [\n \"x\",\n \"a b\",\n 7,\n \"x\"]"),
            vec![
                "f:7: \"a b\" is not a valid member name: it contains ' '; use letters, digits, '-', '_' and '.'",
                "f:8: names takes a list such as [\"alice\", \"bob\"], which cannot contain 7",
                "f:9: names has x twice",
            ],
        ),
        (
            group("vms = [100, \"100:0\"]"),
            vec!["f:5: vms has 100 twice"],
        ),
        (
            group("vms = [-1]"),
            vec!["f:5: vms takes a list such as [100, \"101:1\"], which cannot contain -1"],
        ),
        (
            group("vms = [9999999999999]"),
            vec!["f:5: 9999999999999 is not a Proxmox VE VM id: valid ids are 100 to 999999999"],
        ),
        (
            group("uuids = [\"x\"]"),
            vec!["f:5: \"x\" is not a valid UUID: expected 8-4-4-4-12 hexadecimal digits"],
        ),
        (
            group("count = 1\ngpus = []"),
            vec!["f:6: gpus lists no GPU"],
        ),
        (
            group("count = 1\ngpus = [0, 0]"),
            vec!["f:6: gpus has 0 twice"],
        ),
        (
            group("count = 1\ngpus = [\"any\"]"),
            vec!["f:6: gpus takes \"any\" only on its own, not in a list"],
        ),
        (
            group("count = 1\ngpus = 0.5"),
            vec!["f:6: gpus takes a GPU's address, model or number, not 0.5"],
        ),
        (
            group("count = 1\nplacement = \"dense\""),
            vec!["f:6: placement takes \"pack\" or \"spread\", not \"dense\""],
        ),
        (
            group("count = 1\nstart = true"),
            vec!["f:6: start takes \"auto\" or \"manual\", not true"],
        ),
        (
            group("count = 1\nparams = { frame_rate_limiter = false }"),
            vec!["f:6: frame_rate_limiter takes a number or a string, not false: write 0"],
        ),
        (
            group("count = 1\nattrs = [\"x\"]"),
            vec!["f:6: \"x\" is not of the form NAME=VALUE"],
        ),
        (
            group("count = 1\nattrs = [\"nvidia/vgpu_params=a=1\"]\nparams = { a = 1 }"),
            vec!["f:7: params and the attribute nvidia/vgpu_params are mutually exclusive"],
        ),
    ];
    for (text, wanted) in cases {
        let found = parse(&source(&text)).map_err(|error| told(&error));
        assert_eq!(found.unwrap_err(), wanted, "{text}");
    }
}

#[test]
fn nothing_is_declared_twice() {
    let text = "version = 1\n\
        [[group]]\nname = \"a\"\ntype = \"t\"\nvms = [100]\n\
        [[group]]\nname = \"a\"\ntype = \"t\"\ncount = 1\n\
        [[group]]\nname = \"b\"\ntype = \"t\"\nuuids = [\"00000000-0000-0000-0000-000000000100\"]\n";
    let error = parse(&source(text)).unwrap_err();
    assert_eq!(
        told(&error),
        [
            "f:6: group a is already defined in line 2",
            "f:10: 00000000-0000-0000-0000-000000000100 is already in group a"
        ]
    );
    let error = parse(&source("version = 1\nversion = 1\n[[group]\n")).unwrap_err();
    let lines = told(&error);
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("f:2: duplicate key")),
        "{lines:?}"
    );
    assert!(
        lines.iter().any(|line| line.starts_with("f:3: ")),
        "{lines:?}"
    );
}

#[test]
fn a_file_beyond_all_measure_is_refused() {
    let error = parse(&source(&" ".repeat((1 << 20) + 1))).unwrap_err();
    assert!(error.to_string().contains("larger than 1 MiB"), "{error}");
    let mut text = "version = 1\n".to_owned();
    for n in 0..17 {
        text += &format!("[[group]]\nname = \"g{n}\"\ntype = \"t\"\ncount = 4096\n");
    }
    let error = parse(&source(&text)).unwrap_err();
    assert_eq!(
        told(&error),
        ["f:66: with this group, the file requests more than 65536 vGPUs"]
    );
    let error = parse(&source(&"x = 1\n[[group]]\n".repeat(500))).unwrap_err();
    assert!(told(&error).len() <= 21);
}

#[test]
fn unusual_parameters_are_told_of_and_kept() {
    let text =
        "version = 1\n[[group]]\nname = \"a\"\ntype = \"t\"\ncount = 1\nparams = { new = 7 }\n";
    let reading = parse(&source(text)).unwrap();
    assert!(
        reading.notes[0].contains("new is not known here"),
        "{:?}",
        reading.notes
    );
    assert_eq!(reading.declaration.groups[0].attrs[0].value, "new=7");
}

#[test]
fn what_is_written_reads_well() {
    let declaration = parse(&source(WHOLE)).unwrap().declaration;
    let remarks = ["somebody else's:\n0000:81:00.4".to_owned()];
    let text = write(&declaration, &remarks);
    insta::assert_snapshot!(text);
    let again = parse(&source(&text)).unwrap().declaration;
    assert_eq!(without_lines(again), without_lines(declaration));
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(declaration in any_declaration()) {
        let text = write(&declaration, &[]);
        let again = parse(&source(&text)).map_err(|error| told(&error));
        prop_assert_eq!(again.map(|reading| without_lines(reading.declaration)), Ok(declaration), "{}", text);
    }
}

fn type_ids() -> impl Strategy<Value = Vec<TypeId>> {
    let ids = ["nvidia-63", "nvidia-65", "i915-GVTg_V5_4"];
    let ids: Vec<TypeId> = ids.iter().map(|id| id.parse().unwrap()).collect();
    proptest::sample::subsequence(ids, 0..3)
}

fn any_declaration() -> impl Strategy<Value = Declaration> {
    let unlisted = prop_oneof![
        Just(Unlisted::Keep),
        Just(Unlisted::Remove),
        Just(Unlisted::RemoveOwn),
        (gpu_names(), type_ids()).prop_map(|(gpus, but)| Unlisted::RemoveOn { gpus, but }),
    ];
    let groups = proptest::collection::vec(any_group(), 0..5);
    let setups = proptest::collection::vec(any_setup(), 0..3);
    (groups, unlisted, setups).prop_map(|(mut groups, unlisted, setups)| {
        for (at, group) in groups.iter_mut().enumerate() {
            group.name = format!("{}-{at}", group.name).parse().unwrap();
        }
        // A VM's UUID stands in one group only.
        let mut seen = std::collections::HashSet::new();
        for group in &mut groups {
            if let Members::Listed(members) = &mut group.members {
                members.retain(|member| member.uuid.is_none_or(|uuid| seen.insert(uuid)));
            }
        }
        Declaration {
            groups,
            unlisted,
            setups,
        }
    })
}

fn any_setup() -> impl Strategy<Value = GpuSetup> {
    let gpus = gpu_names().prop_map(|mut names| {
        let own = GpuName::text("0000:81:00.0");
        names.retain(|name| matches!(name, GpuName::Text(_)) && *name != own);
        names.push(own);
        names
    });
    let functions = proptest::option::of(prop_oneof![
        Just(FunctionsAtBoot::Enable),
        Just(FunctionsAtBoot::Leave)
    ]);
    let instance = prop_oneof![Just("3g.40gb"), Just("9:4"), Just("1g.10gb+me")];
    let instance = instance.prop_map(|text| text.parse().unwrap());
    let mig = proptest::option::of(proptest::collection::vec(instance, 0..4));
    let sizes = proptest::option::of(prop_oneof![Just(Sizes::Mixed), Just(Sizes::AsTheyAre)]);
    let scheduler = prop_oneof![
        Just("best-effort"),
        Just("fixed arr=off time-slice=2000000")
    ];
    let scheduler = proptest::option::of(scheduler.prop_map(|text| text.parse().unwrap()));
    (gpus, functions, mig, sizes, scheduler).prop_map(|(gpus, functions, mig, sizes, scheduler)| {
        GpuSetup {
            gpus,
            functions,
            mig,
            sizes,
            scheduler,
            line: 0,
        }
    })
}

fn any_group() -> impl Strategy<Value = Group> {
    let placement = prop_oneof![Just(Placement::Pack), Just(Placement::Spread)];
    let start = prop_oneof![Just(StartMode::Auto), Just(StartMode::Manual)];
    let gpus = prop_oneof![Just(GpuChoice::Any), gpu_names().prop_map(GpuChoice::These)];
    let attrs = proptest::collection::vec(any_attr(), 0..4);
    let type_name = "[^\\p{Cc}]{1,20}";
    (
        "[a-z][a-z0-9._-]{0,9}",
        type_name,
        any_members(),
        gpus,
        placement,
        start,
        attrs,
    )
        .prop_map(
            |(name, type_name, members, gpus, placement, start, attrs)| Group {
                name: name.parse().unwrap(),
                type_name,
                members,
                gpus,
                placement,
                start,
                attrs,
                line: 0,
            },
        )
}

fn any_members() -> impl Strategy<Value = Members> {
    let names = proptest::collection::btree_set("[a-z][a-z0-9.]{0,9}", 0..9);
    let named = |name: String| Member::named(name.parse().unwrap());
    let vms = proptest::collection::btree_set((100..999_999u64, 0..16u64), 0..40);
    let uuids = proptest::collection::btree_set(any::<u128>().prop_map(Uuid::from_u128), 0..9);
    let both = ("[a-z]{1,9}", any::<u128>());
    prop_oneof![
        (0..=4096u32).prop_map(Members::Count),
        (0..=4096u32).prop_map(|n| Members::PerGpu(Amount::Exactly(n))),
        (0..=4096u32).prop_map(|n| Members::PerGpu(Amount::UpTo(n))),
        Just(Members::PerGpu(Amount::MAX)),
        names.prop_map(move |names| Members::Listed(names.into_iter().map(named).collect())),
        vms.prop_map(|vms| Members::Listed(
            vms.into_iter()
                .map(|(vm, index)| Member::of_vm(vm, index).unwrap())
                .collect()
        )),
        uuids.prop_map(|uuids| Members::Listed(uuids.into_iter().map(Member::given).collect())),
        both.prop_map(|(name, uuid)| Members::Listed(vec![
            Member {
                key: name.parse().unwrap(),
                uuid: Some(Uuid::from_u128(uuid))
            },
            Member::named(format!("{name}-2").parse().unwrap()),
        ])),
    ]
}

fn gpu_names() -> impl Strategy<Value = Vec<GpuName>> {
    let one = prop_oneof![
        (0..4000usize).prop_map(GpuName::Index),
        "[^\\p{Cc}]{1,12}x".prop_map(|text| GpuName::text(&text)),
        Just(GpuName::text("0000:81:00.0")),
    ];
    proptest::collection::vec(one, 1..4).prop_map(|mut names| {
        let mut seen = std::collections::HashSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names
    })
}

fn any_attr() -> impl Strategy<Value = Attr> {
    let text = prop_oneof![
        "[a-z][a-z0-9_/]{0,8}[a-z]=[^\\x00]{0,12}",
        "nvidia/vgpu_params=(a=1|b=x, frame_rate_limiter=0|a=01|a=1,b=2|a=1, a=2|x|)",
    ];
    text.prop_filter_map("a name", |text| text.parse().ok())
}
