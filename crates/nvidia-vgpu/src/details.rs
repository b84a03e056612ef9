//! The `description` file of a type in NVIDIA's format.

/// The parsed description of an NVIDIA type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeDetails<'a> {
    /// Framebuffer of one instance, in MiB.
    pub framebuffer_mib: u64,
    /// Virtual displays that one instance can drive.
    pub displays: u32,
    /// Frame rate limit, in frames per second.
    pub frame_limit: u32,
    /// Largest resolution, as "5120x2880".
    pub resolution: &'a str,
    /// Instances of this type that fit on an otherwise empty GPU.
    pub max_instances: u32,
}

impl TypeDetails<'_> {
    /// Parses `num_heads=4, frl_config=60, framebuffer=1024M, max_resolution=5120x2880,
    /// max_instance=8` (NVIDIA's vGPU user guide; keys in any order, unknown ones skipped).
    /// `None` if a key is missing or a value is malformed.
    pub fn parse(description: &str) -> Option<TypeDetails<'_>> {
        let [mut framebuffer, mut displays, mut frame_limit] = [None; 3];
        let [mut resolution, mut max_instances] = [None; 2];
        for field in description.split(',') {
            let Some((key, value)) = field.split_once('=') else {
                continue;
            };
            let place = match key.trim_ascii() {
                "framebuffer" => &mut framebuffer,
                "num_heads" => &mut displays,
                "frl_config" => &mut frame_limit,
                "max_resolution" => &mut resolution,
                "max_instance" => &mut max_instances,
                _ => continue,
            };
            // If a key is repeated, the first one is used.
            place.get_or_insert(value.trim_ascii());
        }
        Some(TypeDetails {
            framebuffer_mib: framebuffer?.strip_suffix('M')?.parse().ok()?,
            displays: displays?.parse().ok()?,
            frame_limit: frame_limit?.parse().ok()?,
            resolution: resolution.filter(|text| is_resolution(text))?,
            max_instances: max_instances?.parse().ok()?,
        })
    }
}

fn is_resolution(text: &str) -> bool {
    let parts = text.split_once('x');
    parts.is_some_and(|(width, height)| {
        width.parse::<u32>().is_ok() && height.parse::<u32>().is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const P4_1Q: &str =
        "num_heads=4, frl_config=60, framebuffer=1024M, max_resolution=5120x2880, max_instance=8";

    #[test]
    fn nvidias_form_is_understood_in_any_order_and_with_more_keys() {
        let details = TypeDetails::parse(P4_1Q).unwrap();
        assert_eq!(
            details,
            TypeDetails {
                framebuffer_mib: 1024,
                displays: 4,
                frame_limit: 60,
                resolution: "5120x2880",
                max_instances: 8,
            }
        );
        let mut fields: Vec<&str> = P4_1Q.split(", ").collect();
        fields.reverse();
        let turned = format!("{},ecc=1", fields.join(","));
        assert_eq!(TypeDetails::parse(&turned), Some(details));
    }

    #[test]
    fn other_vendors_and_broken_texts_are_not_guessed_at() {
        for other in [
            "",
            "low_gm_size: 128MB\nhigh_gm_size: 512MB\nfence: 4\nresolution: 1920x1200\nweight: 4",
            "virtual display, 16 MB video memory",
            "num_heads=4, frl_config=60, framebuffer=1024M, max_resolution=5120x2880",
            "num_heads=-1, frl_config=60, framebuffer=1024M, max_resolution=5120x2880, max_instance=8",
            "num_heads=4, frl_config=60, framebuffer=1024G, max_resolution=5120x2880, max_instance=8",
            "num_heads=4, frl_config=60, framebuffer=1024M, max_resolution=big, max_instance=8",
        ] {
            assert_eq!(TypeDetails::parse(other), None, "{other:?}");
        }
    }
}
