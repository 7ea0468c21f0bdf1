use database::{execute, optional};
use foundation::time::Timestamp;

use super::{Event, Result, Store};
use crate::domain::ids::UserId;

impl Store {
    /// Sets the picture of a user, by its name and as PNG, or removes it.
    pub async fn set_picture(
        &self,
        user: UserId,
        picture: Option<(&str, &[u8])>,
        event: Event,
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.db.begin().await?;
        let name = picture.map(|(name, _)| name);
        execute!(
            tx.on(),
            "UPDATE users SET picture = $1, updated_at = $2 WHERE id = $3",
            name,
            now,
            user
        )?;
        execute!(tx.on(), "DELETE FROM user_pictures WHERE user_id = $1", user)?;
        if let Some((name, png)) = picture {
            execute!(
                tx.on(),
                "INSERT INTO user_pictures (name, user_id, png) VALUES ($1, $2, $3)",
                name,
                user,
                png
            )?;
        }
        event.write(&mut tx, now).await?;
        tx.commit().await
    }

    /// The PNG of a picture with this name.
    pub async fn picture(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let found = optional!(
            self.db.read(),
            (Vec<u8>,),
            "SELECT png FROM user_pictures WHERE name = $1",
            name
        )?;
        Ok(found.map(|(png,)| png))
    }
}
