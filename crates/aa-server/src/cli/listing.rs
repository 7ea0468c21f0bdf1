//! Lists that commands print: whole, or a page at a time.

use clap::Args;
use serde_json::{Value, json};
use service::run::Failure;

use super::output::Output;
use crate::ops::lists::{Page, PageError, PageRequest};

/// Items that are read at a time where no limit is given.
const PAGE: u32 = 500;

#[derive(Debug, Args)]
pub(super) struct PageArgs {
    /// Print one page, of at most this many.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: Option<u32>,
    /// Print the page that follows the one that ended with this cursor.
    #[arg(long, allow_hyphen_values = true)]
    cursor: Option<String>,
}

/// Prints a list. Without a limit and a cursor it is printed whole, as a JSON array, unless it is cut to its first
/// `cut` items; else a page of it, as `{"items": […], "next": "…"}`. What is left out is said on standard error.
pub(super) async fn list<T>(
    args: PageArgs,
    cut: Option<u32>,
    read: impl AsyncFn(PageRequest<'_>) -> Result<Page<T>, PageError>,
    line: impl Fn(&T) -> String,
    to_json: impl Fn(&T) -> Value,
) -> Result<Output, Failure> {
    let is_paged = args.limit.is_some() || args.cursor.is_some();
    let limit = args.limit.or(cut).unwrap_or(PAGE);
    let mut page = read(PageRequest { cursor: args.cursor.as_deref(), limit }).await?;
    if !is_paged && cut.is_none() {
        while let Some(cursor) = page.next.take() {
            let following = read(PageRequest { cursor: Some(&cursor), limit }).await?;
            page.items.extend(following.items);
            page.next = following.next;
        }
    }
    let lines: Vec<String> = page.items.iter().map(line).collect();
    let items: Vec<Value> = page.items.iter().map(to_json).collect();
    let json = if is_paged { json!({ "items": items, "next": page.next }) } else { items.into() };
    let note = page.next.map(|cursor| format!("There are more: --limit {limit} --cursor {cursor}"));
    Ok(Output::new(lines.join("\n"), json).with_note(note))
}
