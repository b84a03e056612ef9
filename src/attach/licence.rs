//! The licence settings of an NVIDIA guest (NVIDIA's Virtual GPU Client Licensing User Guide).

use std::net::Ipv6Addr;
use std::str::FromStr;

use super::{Block, Place};
use crate::error::{Error, Kind, Result};
use crate::nvidia::TypeName;

/// Where licences were served by default until the server with tokens.
const USUAL_PORT: u16 = 7070;

/// "An NVIDIA vGPU": the guest's driver asks for the edition that its type needs. 2 and 4 name an
/// edition for a card that is passed through whole; 0 asks for none.
const FEATURE_TYPE: u8 = 1;

/// A licence server's name and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LicenceServer {
    host: String,
    port: u16,
}

impl FromStr for LicenceServer {
    type Err = Error;

    /// Parses `HOST[:PORT]`; an IPv6 address with a port stands in brackets.
    fn from_str(text: &str) -> Result<LicenceServer> {
        parse(text).ok_or_else(|| {
            Error::new(
                Kind::Usage,
                format!("{text:?} is not a server's name or address, with or without :PORT"),
            )
        })
    }
}

fn parse(text: &str) -> Option<LicenceServer> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, behind) = rest.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            let port = match behind {
                "" => None,
                behind => Some(behind.strip_prefix(':')?),
            };
            (address, port)
        }
        None if text.parse::<Ipv6Addr>().is_ok() => (text, None),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let is_host = !host.is_empty()
        && !host.starts_with('-')
        && host.len() <= 253
        && (host.chars().all(is_name) || host.parse::<Ipv6Addr>().is_ok());
    let port = match port {
        None => USUAL_PORT,
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => port.parse().ok()?,
        Some(_) => return None,
    };
    (is_host && port > 0).then(|| LicenceServer {
        host: host.to_owned(),
        port,
    })
}

/// The edition that the licence server must have for a type of that name; `None` where it is not a
/// name of NVIDIA's form.
fn edition(type_name: &str) -> Option<String> {
    let series = TypeName::parse(type_name)?.series;
    let licence = series.licence();
    Some(match series.licence_today() {
        Some(today) => format!("{licence} (today {today})"),
        None => licence.to_owned(),
    })
}

/// The settings for a guest with a vGPU of that type; `settings` names the file on Linux.
///
/// # Errors
/// [`Kind::Usage`] where the type is none of NVIDIA's.
pub fn licence_blocks(
    server: &LicenceServer,
    type_name: &str,
    settings: &str,
) -> Result<Vec<Block>> {
    let edition = edition(type_name).ok_or_else(|| {
        Error::new(
            Kind::Usage,
            format!("{type_name:?} is no vGPU type of NVIDIA's: its guest needs no licence"),
        )
    })?;
    let LicenceServer { host, port } = server;
    Ok(vec![
        Block {
            place: Place::LinuxGuest,
            whereto: format!(
                "in a Linux guest: {settings}, then restart nvidia-gridd (the server must have \
                 {edition} licences)"
            ),
            text: format!(
                "ServerAddress={host}\nServerPort={port}\nFeatureType={FEATURE_TYPE}\n"
            ),
        },
        Block {
            place: Place::WindowsGuest,
            whereto: "in a Windows guest: a .reg file to open, then restart the service NVDisplay.ContainerLocalSystem".into(),
            text: format!(
                "Windows Registry Editor Version 5.00\n\n\
                 [HKEY_LOCAL_MACHINE\\SOFTWARE\\NVIDIA Corporation\\Global\\GridLicensing]\n\
                 \"ServerAddress\"=\"{host}\"\n\"ServerPort\"=\"{port}\"\n\
                 \"FeatureType\"=dword:{FEATURE_TYPE:08x}\n"
            ),
        },
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_name_or_an_address_and_maybe_a_port() {
        for (given, host, port) in [
            ("licence.lan", "licence.lan", 7070),
            ("10.0.0.5:8080", "10.0.0.5", 8080),
            ("fd00::1", "fd00::1", 7070),
            ("[fd00::1]:7071", "fd00::1", 7071),
        ] {
            let server: LicenceServer = given.parse().unwrap();
            assert_eq!((server.host.as_str(), server.port), (host, port), "{given}");
        }
        for bad in [
            "",
            ":7070",
            "a:",
            "a:0",
            "a:65536",
            "a:+1",
            "a b",
            "a\nFeatureType=0",
            "a\"b",
            "-a",
            "[x]:1",
            "[fd00::1]7071",
            "a:1:2",
            "http://a",
        ] {
            assert!(bad.parse::<LicenceServer>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_edition_goes_by_the_types_series() {
        for (name, wanted) in [
            ("GRID P4-1Q", Some("vDWS (today vWS)")),
            ("GRID P40-2B4", Some("vPC")),
            ("NVIDIA A40-8A", Some("vApps")),
            ("Dual port serial", None),
            ("i915-GVTg_V5_8", None),
        ] {
            assert_eq!(edition(name).as_deref(), wanted, "{name}");
        }
    }

    #[test]
    fn both_guests_get_server_port_and_the_automatic_edition() {
        let server = "licence.lan".parse().unwrap();
        let blocks = licence_blocks(&server, "GRID P4-1B", "gridd.conf").unwrap();
        assert_eq!(
            blocks[0].text,
            "ServerAddress=licence.lan\nServerPort=7070\nFeatureType=1\n"
        );
        assert!(blocks[0].whereto.contains("vPC licences"));
        assert_eq!(
            blocks[1].text,
            "Windows Registry Editor Version 5.00\n\n\
             [HKEY_LOCAL_MACHINE\\SOFTWARE\\NVIDIA Corporation\\Global\\GridLicensing]\n\
             \"ServerAddress\"=\"licence.lan\"\n\"ServerPort\"=\"7070\"\n\
             \"FeatureType\"=dword:00000001\n"
        );
        assert!(licence_blocks(&server, "mtty", "gridd.conf").is_err());
    }
}
