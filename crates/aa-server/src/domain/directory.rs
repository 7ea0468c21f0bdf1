//! What an operator says about a user beside the account: names in parts, and groups.

use super::user::{InvalidUser, check_name};

/// Groups of one user, at most.
const MAX_GROUPS: usize = 100;

/// Data about a user from a directory. `None` leaves what is known as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DirectoryData {
    /// The given name (`given_name`); empty if there is none.
    pub given_name: Option<String>,
    /// The family name (`family_name`); empty if there is none.
    pub family_name: Option<String>,
    /// The names of the user's groups (`groups`).
    pub groups: Option<Vec<String>>,
}

/// Why data from a directory cannot be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDirectoryData {
    /// A name is too long, or has control characters.
    #[error("given and family names have at most 100 characters")]
    Name,
    /// The name of a group is empty or too long, or has control characters.
    #[error("the name of a group has 1 to 100 characters")]
    Group,
    /// There are too many groups.
    #[error("a user has at most {MAX_GROUPS} groups")]
    TooManyGroups,
}

impl DirectoryData {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The data as they are kept: trimmed, and each group once.
    ///
    /// # Errors
    /// [`InvalidDirectoryData`].
    pub fn check(&self) -> Result<Self, InvalidDirectoryData> {
        let name = |name: &Option<String>| {
            name.as_deref()
                .map(check_name)
                .transpose()
                .map_err(|_: InvalidUser| InvalidDirectoryData::Name)
        };
        Ok(Self {
            given_name: name(&self.given_name)?,
            family_name: name(&self.family_name)?,
            groups: self.groups.as_deref().map(check_groups).transpose()?,
        })
    }
}

fn check_groups(groups: &[String]) -> Result<Vec<String>, InvalidDirectoryData> {
    let mut kept: Vec<String> = Vec::new();
    for group in groups {
        let group = check_name(group).map_err(|_| InvalidDirectoryData::Group)?;
        if group.is_empty() {
            return Err(InvalidDirectoryData::Group);
        }
        if !kept.contains(&group) {
            kept.push(group);
        }
    }
    if kept.len() > MAX_GROUPS {
        return Err(InvalidDirectoryData::TooManyGroups);
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(names: &[&str]) -> DirectoryData {
        let groups = names.iter().map(|name| (*name).to_owned()).collect();
        DirectoryData { groups: Some(groups), ..DirectoryData::default() }
    }

    #[test]
    fn what_is_kept_is_trimmed_and_each_group_is_there_once() {
        let checked = groups(&[" Sales EMEA ", "ops", "ops"]).check().unwrap();
        assert_eq!(checked, groups(&["Sales EMEA", "ops"]));
        assert!(DirectoryData::default().check().unwrap().is_empty());
        let long = "x".repeat(101);
        for wrong in ["", " ", "a\nb", &long] {
            assert_eq!(groups(&[wrong]).check(), Err(InvalidDirectoryData::Group), "{wrong:?}");
        }
        let many: Vec<String> = (0..=MAX_GROUPS).map(|number| number.to_string()).collect();
        let many = DirectoryData { groups: Some(many), ..DirectoryData::default() };
        assert_eq!(many.check(), Err(InvalidDirectoryData::TooManyGroups));
        let name = DirectoryData { given_name: Some(long), ..DirectoryData::default() };
        assert_eq!(name.check(), Err(InvalidDirectoryData::Name));
    }
}
