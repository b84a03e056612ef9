//! What `creatable_vgpu_types` says, and what that means for a GPU with many functions.

use std::collections::BTreeMap;

use crate::error::{Error, Kind, Result};
use crate::model::{TypeId, VgpuType};
use crate::text::quoted;

/// Types have the numbers that they have as mediated devices, where they are called `nvidia-63`.
const PREFIX: &str = "nvidia-";

/// The only interface that such a function offers.
const DEVICE_API: &str = "vfio-pci";

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The type's number.
    pub number: u32,
    /// Its name, such as `NVIDIA L40S-1B`.
    pub name: String,
}

/// The type of that number.
pub fn type_id(number: u32) -> TypeId {
    TypeId::numbered(PREFIX, number)
}

/// The number of a type: 1147 for `nvidia-1147`.
pub fn number_of(id: &TypeId) -> Option<u32> {
    let digits = id.as_str().strip_prefix(PREFIX)?;
    digits.parse().ok().filter(|number| *number != 0)
}

/// Parses `ID : name` lines. The header is optional (some releases print none), and alone it means
/// that nothing can be created now. Lines of the form `name   ID` are known too.
///
/// # Errors
/// A line of another form: the driver speaks another dialect, and guessing would misinform.
pub fn parse(text: &str) -> Result<Vec<Listed>> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !is_header(line))
        .map(|line| {
            let name_first = || line.rsplit_once(char::is_whitespace).map(|(a, b)| (b, a));
            let (number, name) = line.split_once(':').or_else(name_first).unwrap_or_default();
            let number = number.trim().parse().ok().filter(|number| *number != 0);
            let name = name.trim().to_owned();
            match number {
                Some(number) if !name.is_empty() => Ok(Listed { number, name }),
                _ => Err(Error::new(
                    Kind::Failed,
                    format!("{} is not of the form \"number : name\"", quoted(line)),
                )),
            }
        })
        .collect()
}

fn is_header(line: &str) -> bool {
    let first = line.split(':').next().unwrap_or_default();
    first.trim().eq_ignore_ascii_case("id")
}

/// The types that the functions of one GPU offer together.
#[derive(Debug, Default)]
pub struct Offered {
    /// How many functions can take each type now, and its name.
    types: BTreeMap<u32, (String, u32)>,
    functions: u32,
}

impl Offered {
    /// Counts what one more function lists.
    pub fn add(&mut self, listed: Vec<Listed>) {
        self.functions += 1;
        for one in listed {
            self.types.entry(one.number).or_insert((one.name, 0)).1 += 1;
        }
    }

    /// The types in natural order; of those that are only `remembered` nothing is free.
    ///
    /// A type that several functions list fits once at least. How often it fits cannot be known:
    /// the listings shrink as the GPU's memory is taken, and tell nothing of it beforehand.
    pub fn types(self, remembered: BTreeMap<TypeId, String>) -> Vec<VgpuType> {
        let mut types: BTreeMap<TypeId, VgpuType> = remembered
            .into_iter()
            .map(|(id, name)| (id.clone(), vgpu_type(id, name, Some(0))))
            .collect();
        for (number, (name, functions)) in self.types {
            let available = (functions == 1).then_some(1);
            let id = type_id(number);
            types.insert(id.clone(), vgpu_type(id, name, available));
        }
        types.into_values().collect()
    }
}

fn vgpu_type(id: TypeId, name: String, available: Option<u32>) -> VgpuType {
    VgpuType {
        id,
        name: Some(name.into()),
        description: None,
        available,
        at_least: available.unwrap_or(1),
        device_api: Some(DEVICE_API.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "ID    : vGPU Name\n1145  : NVIDIA L40S-1B\n1147  : NVIDIA L40S-1Q\n";

    fn listed(text: &str) -> Vec<(u32, String)> {
        let listed = parse(text).unwrap();
        listed.into_iter().map(|l| (l.number, l.name)).collect()
    }

    #[test]
    fn listings_are_read_with_and_without_their_header() {
        let two = [
            (1145, "NVIDIA L40S-1B".into()),
            (1147, "NVIDIA L40S-1Q".into()),
        ];
        assert_eq!(listed(TWO), two);
        assert_eq!(listed("1145 : NVIDIA L40S-1B\n1147 : NVIDIA L40S-1Q"), two);
        assert_eq!(
            listed("NVIDIA L40S-1B           1145\nNVIDIA L40S-1Q\t1147\n"),
            two
        );
        for nothing in ["", "\n", "ID    : vGPU Name\n"] {
            assert_eq!(listed(nothing), []);
        }
    }

    #[test]
    fn a_line_of_another_form_is_said_and_not_guessed_at() {
        for bad in [
            "NVIDIA L40S-1B",
            "x : NVIDIA",
            "0 : none",
            "12 :",
            "-1 : y",
            "1147",
        ] {
            let error = parse(&format!("{TWO}{bad}\n")).unwrap_err();
            assert!(error.message().contains(bad), "{error}");
        }
    }

    #[test]
    fn what_several_functions_offer_is_not_added_up() {
        let mut offered = Offered::default();
        offered.add(parse(TWO).unwrap());
        offered.add(parse("1147 : NVIDIA L40S-1Q").unwrap());
        let remembered = BTreeMap::from([(type_id(1150), "NVIDIA L40S-48Q".to_owned())]);
        let types: Vec<_> = offered
            .types(remembered)
            .into_iter()
            .map(|t| (t.id.to_string(), t.available, t.at_least))
            .collect();
        assert_eq!(
            types,
            [
                ("nvidia-1145".to_owned(), Some(1), 1),
                ("nvidia-1147".to_owned(), None, 1),
                ("nvidia-1150".to_owned(), Some(0), 0),
            ]
        );
    }

    #[test]
    fn types_are_numbers_behind_nvidias_name() {
        assert_eq!(number_of(&type_id(1147)), Some(1147));
        for other in ["nvidia-0", "nvidia-", "nvidia-x", "i915-4", "1147"] {
            assert_eq!(number_of(&other.parse().unwrap()), None, "{other}");
        }
    }
}
