//! Where a vGPU can go: what a GPU holds, what that leaves room for, and which GPU to take.
//!
//! NVIDIA's rule (vGPU user guide): all vGPUs of one physical GPU have the same framebuffer size, of
//! whatever series, and are never more than the type's `max_instance`. Types whose size is not known
//! have no such rule, nor have MIG-backed ones, which are instances of the GPU.

mod choose;
mod gpu;
mod held;
mod inventory;
mod limits;
#[cfg(test)]
mod random_tests;
mod reason;

pub use choose::{Placement, Room, choose};
pub use gpu::{Capacity, Fragmentation, Moment};
pub use held::{Held, framebuffer_needed, hold_line, holdings, instances_left};
pub use inventory::{Inventory, Occupant};
pub use limits::{Bound, By, Limits, least};
pub use reason::{Reason, Refusal};

#[cfg(test)]
mod tests {
    use super::*;
    use vgpu_host::model::VgpuType;

    fn vgpu_type(id: &str, name: &str, description: &str) -> VgpuType {
        VgpuType {
            id: id.parse().unwrap(),
            name: Some(name.into()),
            description: Some(description.into()),
            available: Some(0),
            at_least: 0,
            device_api: Some("vfio-pci".into()),
        }
    }

    #[test]
    fn what_a_gpu_holds_is_counted_by_type_and_said_with_sizes() {
        let q = vgpu_type(
            "nvidia-64",
            "GRID P4-2Q",
            "num_heads=4, frl_config=60, framebuffer=2048M, max_resolution=7680x4320, max_instance=4",
        );
        let other = vgpu_type("mtty-2", "Dual port serial", "");
        let held = holdings([&q, &other, &q, &q]);
        assert_eq!(
            hold_line(&held),
            "1 x Dual port serial, 3 x P4-2Q (2 GiB each)"
        );
        assert_eq!(hold_line(&[]), "");
    }

    fn sized(id: u32, mib: u64, max: u64) -> VgpuType {
        let description = format!(
            "num_heads=4, frl_config=60, framebuffer={mib}M, max_resolution=5120x2880, \
             max_instance={max}"
        );
        vgpu_type(
            &format!("nvidia-{id}"),
            &format!("GRID X-{id}"),
            &description,
        )
    }

    /// Why there is no room for one more of a type beside these, in words.
    fn why(held: &[&VgpuType], wanted: &VgpuType, limits: Limits) -> String {
        let mut capacity = Capacity::of(held.iter().copied(), limits);
        for one in held {
            let at = capacity.add(one);
            capacity.stays(at, None);
        }
        let at = capacity.add(wanted);
        capacity.refusal(at).words()
    }

    #[test]
    fn why_there_is_no_room_names_what_is_the_reason_and_nothing_else() {
        let (one, two) = (sized(1, 1024, 8), sized(2, 2048, 4));
        let open = Limits::default();
        assert_eq!(
            why(&[&one, &one], &two, open),
            "holds 2 x X-1 (1 GiB each); a GPU serves one framebuffer size at a time, and this \
             type needs 2 GiB"
        );
        assert_eq!(
            why(&[&one; 8], &one, open),
            "holds 8 x X-1 (1 GiB each), as many as fit"
        );
        // Two of eight are not as many as fit.
        assert_eq!(
            why(&[&one, &one], &one, open),
            "holds 2 x X-1 (1 GiB each), and its driver offers no more of this type now"
        );
        let other = vgpu_type("mtty-2", "Dual port serial", "");
        assert_eq!(why(&[&other], &other, open), "holds 1 x Dual port serial");
        assert!(why(&[], &one, open).starts_with("holds nothing, but"));
    }

    #[test]
    fn a_type_that_the_driver_hides_though_a_place_is_free_lacks_no_place() {
        let named = |id, name| vgpu_type(id, name, "");
        let (four, eight) = (
            named("nvidia-4", "NVIDIA L40S-4Q"),
            named("nvidia-8", "NVIDIA L40S-8Q"),
        );
        let large = named("nvidia-24", "NVIDIA L40S-24Q");
        let card = nvidia_vgpu::card(0x10de, 0x26b9).unwrap();
        let limits = Limits {
            memory_mib: Some(card.memory_mib()),
            functions: Some(32),
            mixes_sizes: true,
            is_mixed: true,
            region: card.region(),
        };
        let mut capacity = Capacity::of([&four, &eight, &large], limits);
        for (at, placement) in [(0, 0), (0, 8), (1, 16)] {
            capacity.stays(at, Some(placement));
        }
        let said = capacity.refusal(2).words();
        assert!(
            said.contains("its driver offers no more of this type now"),
            "{said}"
        );
    }

    #[test]
    fn memory_and_functions_are_reasons_where_they_have_run_out() {
        let l40s = vgpu_type("nvidia-1151", "NVIDIA L40S-8Q", "");
        let why = |count: usize, functions, memory_mib| {
            let limits = Limits {
                memory_mib,
                functions,
                mixes_sizes: false,
                is_mixed: false,
                region: None,
            };
            why(&vec![&l40s; count], &l40s, limits)
        };
        let eight = "holds 1 x L40S-8Q (8 GiB each)";
        for (functions, memory, told) in [
            (Some(32), Some(49152), ", and its driver offers no more"),
            (Some(1), Some(49152), ", on its only virtual function"),
            (Some(1), None, ", on its only virtual function"),
            (Some(2), Some(8192), ", as many as fit"),
            (None, None, ", and its driver offers no more"),
        ] {
            let line = why(1, functions, memory);
            assert!(line.starts_with(&format!("{eight}{told}")), "{line}");
        }
        assert!(why(6, Some(32), Some(49152)).ends_with("as many as fit"));
        assert!(why(4, Some(4), Some(49152)).ends_with("on all of its 4 virtual functions"));
    }

    #[test]
    fn the_choice_is_predictable() {
        let room = |taken, free| Room { taken, free };
        let table = [
            // Idle GPUs alike: the first.
            (vec![room(0, Some(8)), room(0, Some(8))], Some(0), Some(0)),
            // The one in use is filled up, or left alone.
            (vec![room(0, Some(8)), room(1, Some(7))], Some(1), Some(0)),
            (vec![room(3, Some(5)), room(7, Some(1))], Some(1), Some(0)),
            // A small idle GPU is not opened for the large one in use.
            (vec![room(0, Some(2)), room(1, Some(15))], Some(1), Some(0)),
            // What is full, or of another size, takes nothing.
            (vec![room(4, Some(0)), room(0, Some(8))], Some(1), Some(1)),
            (vec![room(4, Some(0)), room(1, Some(0))], None, None),
            // A GPU that does not say what is free is the last resort.
            (vec![room(0, None), room(7, Some(1))], Some(1), Some(1)),
            (vec![room(4, Some(0)), room(0, None)], Some(1), Some(1)),
            (vec![], None, None),
        ];
        for (rooms, pack, spread) in table {
            assert_eq!(choose(&rooms, Placement::Pack), pack, "{rooms:?}");
            assert_eq!(choose(&rooms, Placement::Spread), spread, "{rooms:?}");
        }
    }

    /// GPUs by brute force: what each holds, as sizes in GiB, out of 8 GiB.
    struct Model(Vec<Vec<u32>>);

    impl Model {
        fn room(&self, gpu: usize, size: u32) -> Room {
            let held = &self.0[gpu];
            let is_other = held.iter().any(|other| *other != size);
            let taken = u32::try_from(held.len()).unwrap();
            Room {
                taken,
                free: Some(if is_other { 0 } else { 8 / size - taken }),
            }
        }

        fn rooms(&self, size: u32) -> Vec<Room> {
            (0..self.0.len()).map(|gpu| self.room(gpu, size)).collect()
        }
    }

    proptest::proptest! {
        #[test]
        fn pack_opens_no_gpu_without_need_and_spread_takes_the_emptiest(
            gpus in 1_usize..6,
            steps in proptest::collection::vec((0_u32..4, 0_usize..8, proptest::bool::ANY), 1..60),
            is_packing in proptest::bool::ANY,
        ) {
            let mut model = Model(vec![Vec::new(); gpus]);
            for (power, gone, is_removal) in steps {
                if is_removal {
                    model.0[gone % gpus].pop();
                    continue;
                }
                let size = 1 << power;
                let rooms = model.rooms(size);
                let fitting: Vec<usize> = (0..gpus).filter(|gpu| rooms[*gpu].fits()).collect();
                let placement = match is_packing {
                    true => Placement::Pack,
                    false => Placement::Spread,
                };
                let Some(chosen) = choose(&rooms, placement) else {
                    assert!(fitting.is_empty());
                    continue;
                };
                assert!(fitting.contains(&chosen));
                let load = |gpu: usize| model.0[gpu].len();
                // The first of the fullest, or of the emptiest, of those that fit.
                for other in fitting {
                    match placement {
                        Placement::Pack => assert!(load(chosen) >= load(other)),
                        Placement::Spread => assert!(load(chosen) <= load(other)),
                    }
                    assert!(load(chosen) != load(other) || chosen <= other);
                }
                model.0[chosen].push(size);
                assert!(model.0[chosen].iter().sum::<u32>() <= 8);
            }
        }
    }

    #[test]
    fn a_driver_that_serves_several_sizes_at_once_is_believed() {
        let (mut one, mut two) = (sized(1, 1024, 8), sized(2, 2048, 4));
        (one.available, one.at_least) = (Some(4), 4);
        (two.available, two.at_least) = (None, 1);
        let mut capacity = Capacity::of([&one, &two], Limits::default());
        capacity.stays(0, None);
        assert_eq!(capacity.admit(1), Ok(()));
        assert_eq!(capacity.admit(0), Ok(()));
    }

    #[test]
    fn types_without_a_size_are_refused_only_where_there_surely_is_no_room() {
        let port = |id: &str, available| VgpuType {
            available,
            ..vgpu_type(id, id, "")
        };
        let (a, b) = (port("a", Some(1)), port("b", None));
        let mut capacity = Capacity::of([&a, &b], Limits::default());
        assert_eq!(capacity.admit(0), Ok(()));
        assert_eq!(capacity.admit(1), Ok(()));
        let refusal = capacity.admit(0).unwrap_err();
        assert_eq!(refusal.words(), "holds 1 x a, 1 x b");
        assert_eq!(refusal.reason, Reason::Unknown);
    }

    #[test]
    fn the_next_boot_finds_a_gpu_empty_and_mixes_sizes_only_where_it_is_told_to() {
        let (mut one, mut two) = (sized(1, 1024, 8), sized(2, 2048, 4));
        (one.available, one.at_least) = (Some(0), 0);
        (two.available, two.at_least) = (Some(1), 1);
        let mixed = |mixes_sizes| {
            let limits = Limits {
                mixes_sizes,
                ..Limits::default()
            };
            let mut capacity = Capacity::of([&one, &two], limits);
            capacity.stays(0, None);
            let mut then = capacity.at_next_boot();
            assert_eq!(then.room(1).free, Some(4));
            then.comes(1);
            then.admit(0).map_err(|refusal| refusal.reason)
        };
        assert_eq!(mixed(false), Err(Reason::OtherSize(1024)));
        assert_eq!(mixed(true), Ok(()));
    }
}
