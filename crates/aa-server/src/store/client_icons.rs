use database::{all, execute, optional};
use foundation::time::Timestamp;

use super::{Event, Result, Store};

impl Store {
    /// Sets the icon of a client, or removes it. `None` when there is no such client.
    pub async fn set_client_icon(
        &self,
        client_id: &str,
        icon: Option<(&str, &[u8])>,
        event: Event,
        now: Timestamp,
    ) -> Result<Option<()>> {
        let mut tx = self.db.begin().await?;
        let known = optional!(
            tx.on(),
            (String,),
            "SELECT client_id FROM clients WHERE client_id = $1",
            client_id
        )?;
        if known.is_none() {
            return Ok(None);
        }
        execute!(tx.on(), "DELETE FROM client_icons WHERE client_id = $1", client_id)?;
        if let Some((name, png)) = icon {
            execute!(
                tx.on(),
                "INSERT INTO client_icons (client_id, png, name) VALUES ($1, $2, $3)",
                client_id,
                png,
                name
            )?;
        }
        event.write(&mut tx, now).await?;
        tx.commit().await?;
        Ok(Some(()))
    }

    /// The clients that have an icon, each with its name.
    pub async fn client_icons(&self) -> Result<Vec<(String, String)>> {
        all!(self.db.read(), (String, String), "SELECT client_id, name FROM client_icons")
    }

    /// The icon of a client, by its name.
    pub async fn client_icon(&self, client_id: &str) -> Result<Option<String>> {
        let found = optional!(
            self.db.read(),
            (String,),
            "SELECT name FROM client_icons WHERE client_id = $1",
            client_id
        )?;
        Ok(found.map(|(name,)| name))
    }

    /// The PNG of an icon with this name.
    pub async fn icon(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let found = optional!(
            self.db.read(),
            (Vec<u8>,),
            "SELECT png FROM client_icons WHERE name = $1 LIMIT 1",
            name
        )?;
        Ok(found.map(|(png,)| png))
    }
}
