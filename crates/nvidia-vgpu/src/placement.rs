//! Where vGPUs of different sizes can start on one GPU (mixed-size mode).
//!
//! Framebuffer is placed in a region of whole GiB: the framebuffer of the GPU's largest type. A vGPU may start only
//! at the placement ids of its type, so that less may fit than the memory suggests.
//!
//! Sources: the algorithm of NVIDIA's open kernel modules 595.45.04 (`kernel_vgpu_mgr.c`), whose results are equal to
//! the tables in NVIDIA's documentation (AI Enterprise 5.0, appendix B). Blackwell: measured on RTX PRO 6000 cards.

/// How the driver divides a region. Both names are those of the first generation that does so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Halved repeatedly. The 1 GiB types of a 48 GiB region leave out two ids.
    Ampere,
    /// The same with the GSP's memory inside the region: they leave out half of their ids.
    Ada,
    /// As many equal slots as a type has instances.
    Blackwell,
}

impl Layout {
    /// The layout of a chip ("GA102"); `None` if its driver has no mixed-size mode or the chip is not known.
    pub fn of_chip(chip: &str) -> Option<Layout> {
        match chip.get(..2)? {
            "GA" => Some(Layout::Ampere),
            "AD" | "GH" => Some(Layout::Ada),
            "GB" => Some(Layout::Blackwell),
            _ => None,
        }
    }
}

/// The region of a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Its size in GiB.
    pub gib: u32,
    /// How it is divided.
    pub layout: Layout,
}

/// Where the vGPUs of one type can start, and how much of the region each takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Placement ids, in the order in which the driver tries them, in GiB from the start of the region.
    pub ids: Vec<u32>,
    /// GiB of the region that one takes.
    pub width: u32,
    /// The driver offers the type only while fewer vGPUs than this run on the GPU, whatever their types.
    pub offered_below: usize,
}

/// Ids that the driver leaves out for types of 1 GiB in a region of 48 GiB, where they take more than 1 GiB.
const WITHOUT_1_GIB: u32 = 48;
const NOT_ON_AMPERE: [u32; 2] = [8, 32];
const NOT_ON_ADA: [u32; 16] = [2, 3, 8, 9, 14, 15, 20, 21, 26, 27, 32, 33, 38, 39, 44, 45];

/// The driver divides no further than into this many parts.
const SMALLEST_PART: u32 = 16;

impl Region {
    /// The places of a type of `size` GiB, of which an empty GPU takes `most` while all vGPUs have one size.
    pub fn places(self, size: u32, most: u32) -> Places {
        let offered_below = most as usize;
        if self.layout == Layout::Blackwell {
            let most = most.max(1);
            return Places {
                ids: (0..most).map(|slot| self.gib * slot / most).collect(),
                width: size.max(self.gib / most),
                offered_below,
            };
        }
        let mut ids = Vec::new();
        let whole = Part {
            start: 0,
            end: self.gib,
            of: 1,
            is_left: true,
        };
        whole.collect(size, most, &mut ids);
        ids.retain(|id| !self.leaves_out(size, *id));
        Places {
            ids,
            width: size,
            offered_below,
        }
    }

    fn leaves_out(self, size: u32, id: u32) -> bool {
        let left_out: &[u32] = match self.layout {
            Layout::Ampere => &NOT_ON_AMPERE,
            Layout::Ada => &NOT_ON_ADA,
            Layout::Blackwell => &[],
        };
        size == 1 && self.gib == WITHOUT_1_GIB && left_out.contains(&id)
    }

    /// An empty region, to place vGPUs in.
    pub fn empty(self) -> Filling {
        Filling {
            taken: vec![false; self.gib as usize],
            vgpus: 0,
        }
    }
}

/// One of `of` parts of a region.
struct Part {
    start: u32,
    end: u32,
    of: u32,
    is_left: bool,
}

impl Part {
    /// A part that two of a type's instances share has one at each edge; where only one fits because the number of
    /// instances is no power of two, it is at the outer edge.
    fn collect(self, size: u32, most: u32, ids: &mut Vec<u32>) {
        if self.of > SMALLEST_PART {
            return;
        }
        let (left, right) = (self.start, self.end.checked_sub(size));
        let has_two = self.of * 2 == most;
        let has_one = match most {
            0 => false,
            1 => self.of == 1,
            _ => !most.is_power_of_two() && 1 << most.ilog2() == self.of,
        };
        if has_two || (has_one && self.is_left) {
            ids.push(left);
        }
        if has_two || (has_one && !self.is_left) {
            ids.extend(right);
        }
        let middle = u32::midpoint(self.start, self.end);
        let half = |start, end, is_left| Part {
            start,
            end,
            of: self.of * 2,
            is_left,
        };
        half(self.start, middle, true).collect(size, most, ids);
        half(middle, self.end, false).collect(size, most, ids);
    }
}

/// A region and what is placed in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filling {
    taken: Vec<bool>,
    vgpus: usize,
}

impl Filling {
    /// Marks what a running vGPU takes; what is outside of the region is ignored.
    pub fn occupy(&mut self, id: u32, width: u32) {
        let end = id.saturating_add(width) as usize;
        let all = self.taken.len();
        self.vgpus += 1;
        self.taken[(id as usize).min(all)..end.min(all)].fill(true);
    }

    /// Places one where the driver would: at its first id that is free. `None` where the driver would not offer it.
    pub fn place(&mut self, places: &Places) -> Option<u32> {
        if self.vgpus >= places.offered_below {
            return None;
        }
        let id = self.free(places).next()?;
        self.occupy(id, places.width);
        Some(id)
    }

    /// The ids at which one more could start, in the driver's order. Those of one type do not overlap.
    pub fn free<'a>(&'a self, places: &'a Places) -> impl Iterator<Item = u32> + 'a {
        let is_free = |id: &u32| {
            let span = *id as usize..(*id + places.width) as usize;
            let taken = self.taken.get(span);
            taken.is_some_and(|taken| !taken.contains(&true))
        };
        places.ids.iter().copied().filter(is_free)
    }

    /// GiB that nothing takes.
    pub fn free_gib(&self) -> u32 {
        let free = self.taken.iter().filter(|taken| !**taken);
        u32::try_from(free.count()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(gib: u32, layout: Layout, size: u32, most: u32) -> Vec<u32> {
        Region { gib, layout }.places(size, most).ids
    }

    fn every(step: u32, below: u32) -> Vec<u32> {
        (0..below).step_by(step as usize).collect()
    }

    #[test]
    fn the_tables_of_nvidias_documentation_come_out() {
        use Layout::{Ada, Ampere};
        for (gib, layout, size, most, expected) in [
            (48, Ada, 48, 1, vec![0]),
            (48, Ada, 24, 2, vec![0, 24]),
            (48, Ada, 16, 3, vec![0, 32]),
            (48, Ada, 12, 4, every(12, 48)),
            (48, Ada, 8, 6, vec![0, 16, 24, 40]),
            (48, Ada, 6, 8, every(6, 48)),
            (48, Ada, 4, 12, vec![0, 8, 12, 20, 24, 32, 36, 44]),
            (48, Ada, 3, 16, every(3, 48)),
            (
                48,
                Ada,
                2,
                24,
                vec![0, 4, 6, 10, 12, 16, 18, 22, 24, 28, 30, 34, 36, 40, 42, 46],
            ),
            (
                48,
                Ampere,
                1,
                32,
                vec![
                    0, 2, 3, 5, 6, 9, 11, 12, 14, 15, 17, 18, 20, 21, 23, 24, 26, 27, 29, 30, 33,
                    35, 36, 38, 39, 41, 42, 44, 45, 47,
                ],
            ),
            (
                48,
                Ada,
                1,
                32,
                vec![0, 5, 6, 11, 12, 17, 18, 23, 24, 29, 30, 35, 36, 41, 42, 47],
            ),
            (24, Ada, 24, 1, vec![0]),
            (24, Ada, 12, 2, vec![0, 12]),
            (24, Ampere, 8, 3, vec![0, 16]),
            (24, Ampere, 6, 4, every(6, 24)),
            (24, Ada, 4, 6, vec![0, 8, 12, 20]),
            (24, Ada, 3, 8, every(3, 24)),
            (24, Ada, 2, 12, vec![0, 4, 6, 10, 12, 16, 18, 22]),
            (16, Ampere, 4, 4, every(4, 16)),
            (16, Ampere, 1, 16, every(1, 16)),
            (32, Ampere, 8, 4, every(8, 32)),
            (80, Ada, 16, 5, vec![0, 24, 40, 64]),
            (80, Ampere, 8, 10, vec![0, 12, 20, 32, 40, 52, 60, 72]),
            (80, Ada, 40, 2, vec![0, 40]),
            (80, Ada, 10, 8, every(10, 80)),
            (80, Ada, 5, 16, every(5, 80)),
            (40, Ampere, 8, 5, vec![0, 12, 20, 32]),
            (40, Ampere, 20, 2, vec![0, 20]),
            (40, Ampere, 5, 8, every(5, 40)),
            (94, Ada, 23, 4, vec![0, 24, 47, 71]),
            (94, Ada, 15, 6, vec![0, 32, 47, 79]),
            (94, Ada, 47, 2, vec![0, 47]),
        ] {
            assert_eq!(
                ids(gib, layout, size, most),
                expected,
                "{size} of {gib} GiB"
            );
        }
    }

    #[test]
    fn the_maximum_of_the_documentation_comes_out() {
        use Layout::{Ada, Ampere, Blackwell};
        for (gib, layout, size, most, expected) in [
            (24, Ada, 1, 24, 16),
            (80, Ada, 20, 4, 4),
            (80, Ampere, 4, 20, 16),
            (40, Ampere, 10, 4, 4),
            (40, Ampere, 4, 10, 8),
            (94, Ada, 11, 8, 8),
            (94, Ada, 6, 15, 8),
            (94, Ada, 4, 23, 16),
            (96, Blackwell, 2, 32, 32),
            (96, Blackwell, 3, 32, 32),
            (96, Blackwell, 32, 3, 3),
        ] {
            let region = Region { gib, layout };
            let places = region.places(size, most);
            let mut filling = region.empty();
            let mut count = 0;
            while filling.place(&places).is_some() {
                count += 1;
            }
            assert_eq!(count, expected, "{size} of {gib} GiB");
        }
    }

    #[test]
    fn the_order_decides_what_fits() {
        let region = Region {
            gib: 48,
            layout: Layout::Ada,
        };
        let places = |size: u32| region.places(size, 48 / size);
        let place = |sizes: &[u32]| -> Vec<Option<u32>> {
            let mut filling = region.empty();
            sizes
                .iter()
                .map(|size| filling.place(&places(*size)))
                .collect()
        };
        assert_eq!(place(&[24, 16, 8]), [Some(0), Some(32), Some(24)]);
        assert_eq!(place(&[8, 16, 24]), [Some(0), Some(32), None]);
        let mut filling = region.empty();
        filling.place(&places(8));
        filling.place(&places(16));
        assert_eq!(filling.free_gib(), 24);
        assert_eq!(filling.free(&places(24)).count(), 0);
        assert_eq!(filling.free(&places(8)).count(), 2);
    }

    #[test]
    fn nothing_overlaps_or_leaves_the_region() {
        for layout in [Layout::Ampere, Layout::Ada, Layout::Blackwell] {
            for gib in 1..300 {
                for size in 1..=gib {
                    let region = Region { gib, layout };
                    let places = region.places(size, (gib / size).min(32));
                    let mut filling = region.empty();
                    let free = filling.free(&places).count();
                    assert_eq!(free, places.ids.len(), "{layout:?} {gib} {size}");
                    for left in (0..free).rev() {
                        assert!(filling.place(&places).is_some(), "{layout:?} {gib} {size}");
                        assert_eq!(
                            filling.free(&places).count(),
                            left,
                            "{layout:?} {gib} {size}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn chips_are_told_apart_by_generation() {
        assert_eq!(Layout::of_chip("GA102"), Some(Layout::Ampere));
        assert_eq!(Layout::of_chip("GH100"), Some(Layout::Ada));
        assert_eq!(Layout::of_chip("GB202"), Some(Layout::Blackwell));
        assert_eq!(Layout::of_chip("TU104"), None);
        assert_eq!(Layout::of_chip(""), None);
    }
}
