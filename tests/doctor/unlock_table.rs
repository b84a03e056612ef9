//! Files of vgpu_unlock-rs 2.5.0 and what it makes of each: its code was run on every one of them.

use Verdict::{LeftAside, Limited, Refused, Taken, Useless};
use Which::{Config, Overrides};

/// Which file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// profile_override.toml.
    Overrides,
    /// config.toml.
    Config,
}

/// What the unlock makes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It takes it.
    Taken,
    /// It takes it, and something in it is of no use.
    Useless,
    /// It takes it; VMs that something in it is for do not start.
    Limited,
    /// It takes none of it: every VM fails to start, or the daemons exit.
    Refused,
    /// It goes on as without the file.
    LeftAside,
}

/// One file; where it is not taken, the line that is at fault and words of what is said of it.
pub struct Case {
    pub which: Which,
    pub text: &'static [u8],
    pub verdict: Verdict,
    pub line: usize,
    pub says: &'static str,
}

const fn case(
    which: Which,
    text: &'static [u8],
    verdict: Verdict,
    line: usize,
    says: &'static str,
) -> Case {
    Case {
        which,
        text,
        verdict,
        line,
        says,
    }
}

/// As long as a name may be with drivers before 580, and one byte more.
const NAME_31: &[u8] = b"[vm.100]\ncard_name = '0123456789012345678901234567890'\n";
const NAME_32: &[u8] = b"[vm.100]\ncard_name = '01234567890123456789012345678901'\n";
const TYPE_32: &[u8] = b"[vm.100]\n\nvgpu_type = '01234567890123456789012345678901'\n";
/// 31 letters, and 32 bytes.
const NAME_UMLAUT: &[u8] =
    "[vm.100]\ncard_name = '012345678901234567890123456789ä'\n".as_bytes();
const ADAPTER_63: &[u8] = b"[vm.100]\nadapter_name = '012345678901234567890123456789012345678901234567890123456789012'\n";
const ADAPTER_64: &[u8] = b"[vm.100]\nadapter_name = '0123456789012345678901234567890123456789012345678901234567890123'\n";
const SHORT_64: &[u8] = b"[vm.100]\nshort_gpu_name = '0123456789012345678901234567890123456789012345678901234567890123'\n";
const FEATURES_128: &[u8] = b"[vm.100]\nfeatures = '01234567890123456789012345678901234567890123456789012345678901230123456789012345678901234567890123456789012345678901234567890123'\n";
const LICENSE_128: &[u8] = b"[vm.100]\nlicense_type = '01234567890123456789012345678901234567890123456789012345678901230123456789012345678901234567890123456789012345678901234567890123'\n";

/// On a host with one GTX 1080 Ti (1b06), driver 535, that offers nvidia-46 to nvidia-48.
pub const FILES: &[Case] = &[
    // What TOML 1.0 has.
    case(Overrides, b"", Taken, 0, ""),
    case(Overrides, b"# nothing\n", Taken, 0, ""),
    case(Overrides, b"\xef\xbb\xbf[vm.100]\nnum_displays = 1\n", Taken, 0, ""),
    case(Overrides, b"[vm.100]\r\nnum_displays = 1\r\n", Taken, 0, ""),
    case(Overrides, b"[profile.nvidia-47]\nnum_displays = 1\nmax_pixels = 2_073_600\n", Taken, 0, ""),
    case(Overrides, b"profile = { nvidia-47 = { num_displays = 1, frl_enabled = 0 } }\n", Taken, 0, ""),
    case(Overrides, b"profile.nvidia-47.num_displays = 1\n", Taken, 0, ""),
    case(Overrides, b"[profile.\"nvidia-47\"]\nfeatures = \"\"\"\na\\\n  b\"\"\"\n", Taken, 0, ""),
    case(Overrides, b"[profile]\n[mdev]\n[vm]\n", Taken, 0, ""),
    case(Overrides, b"[vm.100]\ncard_name = \"\\u00e9\\t\\U0001F600\"\n", Taken, 0, ""),
    case(Overrides, b"[custom]\nwhen = 1979-05-27T07:32:00Z\n", Taken, 0, ""),
    // What is newer than that.
    case(Overrides, b"[vm]\n100 = {\n  num_displays = 1 }\n", Refused, 2, "TOML 1.0"),
    case(Overrides, b"[vm]\n100 = { num_displays = 1, }\n", Refused, 2, "TOML 1.0"),
    case(Overrides, b"[vm]\n100 = { num_displays = 1 # one\n}\n", Refused, 2, "TOML 1.0"),
    case(Overrides, b"[vm.100]\ncard_name = \"\\e[1m\"\n", Refused, 2, "TOML 1.0"),
    case(Overrides, b"[vm.100]\ncard_name = \"\\x41\"\n", Refused, 2, "TOML 1.0"),
    case(Overrides, b"[custom]\nwhen = 07:32\n", Refused, 2, "TOML 1.0"),
    case(Overrides, b"[custom]\nwhen = 1979-05-27T07:32Z\n", Refused, 2, "TOML 1.0"),
    case(Overrides, "[vm.100]\ncaf\u{e9} = 1\n".as_bytes(), Refused, 2, "not valid TOML"),
    // What is no TOML at all.
    case(Overrides, b"[vm.100\n", Refused, 1, "not valid TOML"),
    case(Overrides, b"[vm.100]\nnum_displays 1\n", Refused, 2, "not valid TOML"),
    case(Overrides, b"[vm.100]\nnum_displays = 1\nnum_displays = 2\n", Refused, 3, "not valid TOML"),
    case(Overrides, b"[vm.100]\n[vm.100]\n", Refused, 2, "not valid TOML"),
    case(Overrides, b"[vm.100]\nnum_displays = 01\n", Refused, 2, "not valid TOML"),
    case(Overrides, b"[vm.100]\nframebuffer = 512 MiB\n", Refused, 2, "not valid TOML"),
    case(Overrides, b"[vm.100]\ncard_name = \"\xff\"\n", Refused, 2, "UTF-8"),
    case(Overrides, b"\xff\xfe[\0v\0m\0]\0\n\0", Refused, 1, "UTF-8"),
    case(Overrides, b"[custom]\nx = 99999999999999999999\n", Refused, 2, "TOML 1.0"),
    // A wrong kind of value stops every VM, wherever it stands.
    case(Overrides, b"[vm.100]\nnum_displays = 1\n[vm.200]\nnum_displays = \"1\"\n", Refused, 4, "num_displays in [vm.200]"),
    case(Overrides, b"[profile.nvidia-9999]\nfrl_enabled = false\n", Refused, 2, "write 0"),
    case(Overrides, b"[vm.100]\ncuda_enabled = true\n", Refused, 2, "write 1"),
    case(Overrides, b"[vm.100]\ncuda_enabled = -1\n", Refused, 2, "cuda_enabled"),
    case(Overrides, b"[vm.100]\ncuda_enabled = 1.0\n", Refused, 2, "cuda_enabled"),
    case(Overrides, b"[vm.100]\ncuda_enabled = 4294967296\n", Refused, 2, "cuda_enabled"),
    case(Overrides, b"[vm.100]\nmax_pixels = 4294967296\n", Refused, 2, "32 bits"),
    case(Overrides, b"[vm.100]\nmax_pixels = 4294967295\n", Taken, 0, ""),
    case(Overrides, b"[vm.100]\npci_id = 0x7FFFFFFFFFFFFFFF\nbar1_length = 0\n", Taken, 0, ""),
    case(Overrides, b"[vm.100]\npci_id = 0xFFFFFFFFFFFFFFFF\n", Refused, 2, "pci_id"),
    case(Overrides, b"[vm.100]\npci_id = \"0x1B3810DE\"\n", Refused, 2, "pci_id"),
    case(Overrides, b"[vm.100]\ncard_name = 5\n", Refused, 2, "must be a string"),
    case(Overrides, b"[vm.100]\nframebuffer = true\n", Refused, 2, "framebuffer"),
    case(Overrides, b"[vm.100]\nframebuffer = 1.5\n", Refused, 2, "framebuffer"),
    case(Overrides, b"[vm.100]\nframebuffer = \"1.5\"\n", Refused, 2, "framebuffer"),
    case(Overrides, b"[vm.100]\nframebuffer = \"512 mib\"\n", Refused, 2, "framebuffer"),
    case(Overrides, b"[vm.100]\nframebuffer = \"512M\"\n", Refused, 2, "framebuffer"),
    case(Overrides, b"[vm.100]\nframebuffer = -1\n", Refused, 2, "framebuffer"),
    case(Overrides, b"[vm.100]\nframebuffer = \" 1.5GiB \"\nmappable_video_size = \"64 MB\"\nframebuffer_reservation = '134217728'\n", Taken, 0, ""),
    case(Overrides, b"profile = 5\n", Refused, 1, "must contain tables"),
    case(Overrides, b"[vm]\n100 = 5\n", Refused, 2, "must be a table"),
    case(Overrides, b"[[vm]]\nnum_displays = 1\n", Refused, 1, "must contain tables"),
    case(Overrides, b"[[vm.100]]\nnum_displays = 1\n", Refused, 1, "must be a table"),
    // Switches are not checked.
    case(Overrides, b"[vm.100]\ncuda_enabled = 2\necc_supported = 4294967295\nfrl_enabled = 0\n", Taken, 0, ""),
    // Texts, with the mark at their end.
    case(Overrides, NAME_31, Taken, 0, ""),
    case(Overrides, NAME_32, Limited, 2, "shorter than 32 bytes; this one has 32"),
    case(Overrides, TYPE_32, Limited, 3, "vgpu_type"),
    case(Overrides, NAME_UMLAUT, Limited, 2, "this one has 32"),
    case(Overrides, ADAPTER_63, Taken, 0, ""),
    case(Overrides, ADAPTER_64, Limited, 2, "shorter than 64 bytes"),
    case(Overrides, SHORT_64, Limited, 2, "short_gpu_name"),
    case(Overrides, FEATURES_128, Limited, 2, "shorter than 128 bytes"),
    case(Overrides, LICENSE_128, Limited, 2, "license_type"),
    // What no VM is looked for under, and what nobody reads.
    case(Overrides, b"[vm.100]\nframe_rate_limiter = { a = [1, 'x'] }\n", Useless, 2, "frame_rate_limiter"),
    case(Overrides, b"[vms.100]\nnum_displays = 'x'\n", Useless, 1, "did you mean vm?"),
    case(Overrides, b"num_displays = 'x'\n", Useless, 1, "num_displays"),
    case(Overrides, b"[mdev.00000000-0000-0000-0000-000000000100]\nnum_displays = 1\n", Taken, 0, ""),
    case(Overrides, b"[mdev.ABCDEF00-0000-0000-0000-000000000100]\nnum_displays = 1\n", Useless, 1, "write abcdef00-0000-0000-0000-000000000100"),
    case(Overrides, b"[mdev.100]\nnum_displays = 1\n", Useless, 1, "must name a UUID"),
    case(Overrides, b"[vm.0100]\nnum_displays = 1\n", Useless, 1, "write 100"),
    case(Overrides, b"[vm.web1]\nnum_displays = 1\n", Useless, 1, "a VM number"),
    case(Overrides, b"[vm.1234567890123]\nnum_displays = 1\n", Useless, 1, "a VM number"),
    case(Overrides, b"[profile.nvidia-047]\nnum_displays = 1\n", Useless, 1, "nvidia-259"),
    case(Overrides, b"[profile.nvidia-259]\nnum_displays = 1\n", Useless, 1, "no card on this host offers"),
    case(Overrides, b"[profile.GRID_P40-1Q]\nnum_displays = 1\n", Useless, 1, "nvidia-259"),
    // config.toml.
    case(Config, b"", Taken, 0, ""),
    case(Config, b"unlock = true\nunlock_migration = true\n", Taken, 0, ""),
    case(Config, b"unlock = 1\n", Refused, 1, "true or false"),
    case(Config, b"unlock = \"true\"\n", Refused, 1, "true or false"),
    case(Config, b"unlock_migration = 0\n", Refused, 1, "true or false"),
    case(Config, b"unlock: true\n", Refused, 1, "not valid TOML"),
    case(Config, b"# \xe9\nunlock = true\n", LeftAside, 1, "UTF-8"),
    case(Config, b"unlok = 5\n", Useless, 1, "did you mean unlock?"),
    case(Config, b"[pci_info_map]\n", Taken, 0, ""),
    case(Config, b"[pci_info_map.0x1b06]\ndevice_id = 0x1b38\nsub_system_id = 0x11d9\n", Taken, 0, ""),
    case(Config, b"[pci_info_map.0X1B06]\ndevice_id = 6968\nsub_system_id = 0\n", Taken, 0, ""),
    case(Config, b"[pci_info_map.6918]\ndevice_id = 0x1b38\nsub_system_id = 0x11d9\n", Taken, 0, ""),
    case(Config, b"[pci_info_map.\" 0b1101100000110\\t\"]\ndevice_id = 0x1b38\nsub_system_id = 0x11d9\n", Taken, 0, ""),
    case(Config, b"[pci_info_map.1b06]\ndevice_id = 0x1b38\nsub_system_id = 0x11d9\n", Refused, 1, "the prefix 0x"),
    case(Config, b"[pci_info_map.0x]\ndevice_id = 0x1b38\nsub_system_id = 0x11d9\n", Refused, 1, "the prefix 0x"),
    case(Config, b"[pci_info_map.-1]\ndevice_id = 0x1b38\nsub_system_id = 0x11d9\n", Refused, 1, "the prefix 0x"),
    case(Config, b"[pci_info_map.0x1b_06]\ndevice_id = 0x1b38\nsub_system_id = 0x11d9\n", Refused, 1, "the prefix 0x"),
    case(Config, b"[pci_info_map.0x1FFFFFFFF]\ndevice_id = 0x1b38\nsub_system_id = 0x11d9\n", Refused, 1, "the prefix 0x"),
    case(Config, b"[pci_info_map.0x1b0610de]\ndevice_id = 0x1b38\nsub_system_id = 0x11d9\n", Useless, 1, "up to 0xffff"),
    case(Config, b"[pci_info_map.0x1b06]\ndevice_id = 1\nsub_system_id = 2\n[pci_info_map.6918]\ndevice_id = 1\nsub_system_id = 2\n", Useless, 4, "twice"),
    case(Config, b"[pci_info_map.0x1b06]\ndevice_id = \"0x1b38\"\nsub_system_id = 0x11d9\n", Refused, 2, "without quotes"),
    case(Config, b"[pci_info_map.0x1b06]\ndevice_id = 0x11b38\nsub_system_id = 0x11d9\n", Refused, 2, "0xffff"),
    case(Config, b"[pci_info_map.0x1b06]\ndevice_id = 0x1b38\nsub_system_id = -1\n", Refused, 3, "0xffff"),
    case(Config, b"[pci_info_map.0x1b06]\ndevice_id = 0x1b38\n", Refused, 1, "lacks sub_system_id"),
    case(Config, b"[pci_info_map.0x1b06]\nsub_system_id = 0x11d9\n", Refused, 1, "lacks device_id"),
    case(Config, b"[pci_info_map.0x1b06]\ndevice_id = 0x1b38\nsub_system_id = 0x11d9\nvendor = 1\n", Useless, 4, "vendor"),
    case(Config, b"[pci_info_map]\n0x1b06 = 0x1b38\n", Refused, 2, "must be a table"),
    case(Config, b"pci_info_map = [1]\n", Refused, 1, "must contain tables"),
    case(Config, b"pci_info_map = { 0x1b06 = {\n device_id = 1, sub_system_id = 2 } }\n", Refused, 1, "TOML 1.0"),
];
