//! What the browser shows: three small pages in one frame.

use github::{app::install_page, manifest::Registered};

use super::browser::Offer;

/// What is to be registered, and the button that leads to GitHub.
pub(super) fn offer(offer: &Offer) -> String {
    let manifest = &offer.manifest;
    let owner = offer.owner.as_deref().unwrap_or("your own account");
    let hook = manifest.hook_url.as_deref().unwrap_or("none: GitHub is asked for jobs instead");
    let rights = manifest.permissions.iter().map(|(name, level)| format!("{}: {level}", title(name)));
    let rights = rights.collect::<Vec<_>>().join(", ");
    let installs = if manifest.public { "any account" } else { "its owner only" };
    let rows = [
        ("Name", manifest.name.as_str()),
        ("Owner", owner),
        ("May", &rights),
        ("Webhook", hook),
        ("Installed by", installs),
    ];
    let rows: String =
        rows.iter().map(|(name, value)| format!("<tr><th>{name}</th><td>{}</td></tr>\n", escape(value))).collect();
    let body = format!(
        "<p>The button leads to GitHub, where you give the App its name. GitHub then sends you back here, and the App's \
         key goes to a file on this machine; it is shown nowhere.</p>\n<table>\n{rows}</table>\n\
         <form action=\"{action}\" method=\"post\">\n<input type=\"hidden\" name=\"manifest\" value=\"{manifest}\">\n\
         <button>Register it on GitHub</button>\n</form>",
        action = escape(&offer.action),
        manifest = escape(&manifest.json().to_string()),
    );
    frame("Register a GitHub App for self-runners", &body)
}

/// It is registered.
pub(super) fn done(app: &Registered) -> String {
    let body = format!(
        "<p><b>{slug}</b> (id {id}) belongs to {owner}. Its key is on this machine.</p>\n\
         <p><a class=\"button\" href=\"{install}\">Install it on your repositories</a></p>\n\
         <p>Then go on in the terminal. This page can be closed.</p>",
        slug = escape(&app.slug),
        id = app.id,
        owner = escape(&app.owner),
        install = escape(&install_page(&app.page)),
    );
    frame("The GitHub App is registered", &body)
}

/// Something else.
pub(super) fn message(title: &str, text: &str) -> String {
    frame(title, &format!("<p>{}</p>", escape(text)))
}

fn frame(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n<main>\n<h1>{title}</h1>\n{body}\n</main>\n</html>\n"
    )
}

/// A permission as GitHub's pages call it.
fn title(name: &str) -> &str {
    match name {
        "actions" => "Actions",
        "administration" => "Administration",
        "metadata" => "Metadata",
        "organization_self_hosted_runners" => "Self-hosted runners",
        other => other,
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

const STYLE: &str = "
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 40rem; margin: 12vh auto; padding: 0 1.5rem; }
h1 { font-size: 1.5rem; }
table { border-collapse: collapse; margin: 1.5rem 0; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .4rem .8rem .4rem 0; border-top: 1px solid #8885; }
th { width: 8rem; font-weight: 600; }
td { overflow-wrap: anywhere; }
button, .button { display: inline-block; font: inherit; font-weight: 600; padding: .6rem 1.2rem; border: 0;
  border-radius: .4rem; background: #1f6feb; color: #fff; cursor: pointer; text-decoration: none; }
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        let page = message("Title", "<script>\"a\" & 'b'");
        assert!(page.contains("&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39;") && !page.contains("<script>"));
    }
}
