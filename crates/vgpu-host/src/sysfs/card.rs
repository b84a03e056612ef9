//! A card's name out of udev's hardware database.

use super::PciIdentity;

/// The hardware database, opened once.
pub struct Cards(Option<udev::Hwdb>);

impl Cards {
    /// Opens the database of the running system. A host without one has no names.
    pub fn open() -> Cards {
        Cards(udev::Hwdb::new().ok())
    }

    /// The card's model, else its numbers, "10de:1bb3".
    pub fn name(&self, identity: &PciIdentity) -> String {
        let known = match (&self.0, &identity.modalias) {
            (Some(database), Some(modalias)) => database
                .query_one(modalias.as_str(), "ID_MODEL_FROM_DATABASE")
                .and_then(|name| name.to_str())
                .map(str::to_owned),
            _ => None,
        };
        known.unwrap_or_else(|| identity.ids.clone())
    }
}
