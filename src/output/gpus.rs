//! GPUs for people, and why nothing can be made on some.

use super::Style;
use super::table::{Table, ids, numbers, words as texts};
use super::text::{NONE, text_or};
use crate::model::FrameworkKind;
use crate::nvidia::{Card, Standing, size};
use crate::ops::{Framebuffer, Gpu, Lack, MigGpu};

/// A table of them; a column of GPU instances where some are in MIG mode, and one of reasons where nothing can be made
/// on some.
pub fn table(gpus: &[Gpu], style: Style) -> String {
    let mut columns = vec![
        ids("PARENT"),
        texts("CARD"),
        numbers("MEMORY"),
        texts("VGPU"),
        texts("DRIVER"),
        texts("FRAMEWORK"),
        numbers("ACTIVE"),
        texts("HOLDS"),
        texts("FRAMEBUFFER"),
    ];
    let has_mig = |gpu: &Gpu| gpu.mig.as_ref().is_some_and(MigGpu::is_enabled);
    let has_mig = gpus.iter().any(has_mig);
    if has_mig {
        columns.push(texts("MIG"));
    }
    let has_reasons = gpus.iter().any(|gpu| gpu.lack.is_some());
    if has_reasons {
        columns.push(texts("REASON"));
    }
    let mut table = Table::with_room(columns, gpus.len());
    for gpu in gpus {
        let holds = Some(gpu.holds.as_str()).filter(|held| !held.is_empty());
        let active = gpu.framework.map(|_| gpu.active.to_string());
        let driver = gpu.driver.as_deref();
        table
            .row(gpu.framework.is_some())
            .cell(gpu.id.as_str())
            .cell(text_or(gpu.card.as_deref(), NONE))
            .cell(text_or(gpu.known.map(Card::memory), NONE))
            .cell(text_or(gpu.standing.map(Standing::words), NONE))
            .cell(text_or(driver, NONE))
            .cell(gpu.framework.map_or(NONE, FrameworkKind::as_str))
            .cell(text_or(active, NONE))
            .cell(holds.unwrap_or(NONE))
            .cell(text_or(gpu.framebuffer.map(bar), NONE));
        if has_mig {
            table.cell(text_or(gpu.mig.as_ref().map(instances), NONE));
        }
        if has_reasons {
            table.cell(text_or(gpu.lack.map(|lack| words(lack, driver)), NONE));
        }
    }
    table.draw(style)
}

/// "3g.40gb, 2 x 1g.10gb", in the driver's order; "disabled" where it is not in MIG mode.
fn instances(mig: &MigGpu) -> String {
    if !mig.is_enabled() {
        return mig.current.to_string();
    }
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for one in &mig.instances {
        let name = one.instance.profile_name.as_str();
        match counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => counts.push((name, 1)),
        }
    }
    let counted = counts.into_iter().map(|(name, count)| match count {
        1 => name.to_owned(),
        _ => format!("{count} x {name}"),
    });
    let counted: Vec<String> = counted.collect();
    match counted.is_empty() {
        true => "enabled, no GPU instances".to_owned(),
        false => counted.join(", "),
    }
}

/// "driver ast: no vGPU", in a few words.
pub fn words(lack: Lack, driver: Option<&str>) -> String {
    match lack {
        Lack::Driver => "no driver".to_owned(),
        Lack::OtherDriver => format!("driver {}: no vGPU", driver.unwrap_or(NONE)),
        Lack::VgpuDriver => "driver without vGPU".to_owned(),
        Lack::Functions => "functions off".to_owned(),
        Lack::FunctionTypes => "functions without types".to_owned(),
        Lack::Types => "no types".to_owned(),
        Lack::Instances => "no free GPU instance".to_owned(),
    }
}

/// The same as a word.
pub fn code(lack: Lack) -> &'static str {
    match lack {
        Lack::Driver => "no-driver",
        Lack::OtherDriver => "other-driver",
        Lack::VgpuDriver => "driver-without-vgpu",
        Lack::Functions => "functions-off",
        Lack::FunctionTypes => "functions-without-types",
        Lack::Types => "no-types",
        Lack::Instances => "no-gpu-instances",
    }
}

/// "[######--] 6 GiB of 8 GiB"; what is taken alone where the memory is not known.
fn bar(framebuffer: Framebuffer) -> String {
    const WIDTH: u64 = 8;
    let taken = framebuffer.taken();
    let Some(total) = framebuffer.total else {
        return size(taken);
    };
    let filled = (taken * WIDTH).div_ceil(total.max(1)).min(WIDTH);
    let part = |count: u64, sign: &str| sign.repeat(usize::try_from(count).unwrap_or_default());
    format!(
        "[{}{}] {} of {}{}",
        part(filled, "#"),
        part(WIDTH - filled, "-"),
        size(taken),
        size(total),
        match (framebuffer.is_overcommitted, framebuffer.largest_free) {
            (true, _) => ", overcommitted".to_owned(),
            (false, Some(0)) => ", full".to_owned(),
            (false, Some(largest)) => format!(", largest free {}", size(largest)),
            (false, None) => String::new(),
        }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(promised: u64, total: u64) -> Framebuffer {
        Framebuffer {
            promised,
            total: Some(total),
            is_overcommitted: false,
            largest_free: None,
        }
    }

    #[test]
    fn the_bar_shows_the_least_use_and_never_more_than_there_is() {
        assert_eq!(bar(of(0, 8192)), "[--------] 0 MiB of 8 GiB");
        assert_eq!(bar(of(1, 8192)), "[#-------] 1 MiB of 8 GiB");
        assert_eq!(bar(of(6144, 8192)), "[######--] 6 GiB of 8 GiB");
        assert_eq!(bar(of(9999, 8192)), "[########] 8 GiB of 8 GiB");
        assert_eq!(bar(of(0, 0)), "[--------] 0 MiB of 0 MiB");
        let beyond = Framebuffer {
            is_overcommitted: true,
            ..of(12288, 11264)
        };
        assert_eq!(bar(beyond), "[########] 11 GiB of 11 GiB, overcommitted");
        let mixed = Framebuffer {
            largest_free: Some(12288),
            ..of(24576, 49152)
        };
        assert_eq!(
            bar(mixed),
            "[####----] 24 GiB of 48 GiB, largest free 12 GiB"
        );
        let unknown = Framebuffer {
            total: None,
            ..of(2048, 0)
        };
        assert_eq!(bar(unknown), "2 GiB");
    }
}
