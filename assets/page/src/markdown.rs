//! Doc comments as HTML.

use pulldown_cmark::{BrokenLink, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

/// Returns a doc comment as HTML, below a heading of level `above`. A link becomes its text, because the page has no places
/// for other items.
pub fn html(markdown: &str, above: usize) -> String {
    let mut item_link = |link: BrokenLink| Some(("".into(), link.reference.into_string().into()));
    let parser = Parser::new_with_broken_link_callback(markdown, Options::ENABLE_TABLES, Some(&mut item_link));
    let text = parser.filter(|event| !matches!(event, Event::Start(Tag::Link { .. }) | Event::End(TagEnd::Link)));
    let below = |level: HeadingLevel| HeadingLevel::try_from(level as usize + above).unwrap_or(HeadingLevel::H6);
    let text = text.map(|event| match event {
        Event::Start(Tag::Heading { level, id, classes, attrs }) => {
            Event::Start(Tag::Heading { level: below(level), id, classes, attrs })
        }
        Event::End(TagEnd::Heading(level)) => Event::End(TagEnd::Heading(below(level))),
        other => other,
    });
    let mut out = String::new();
    html::push_html(&mut out, text);
    out
}
