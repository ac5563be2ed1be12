//! What the web's APIs need of native code: UTF-8, URLs and hashes.

use rquickjs::{Ctx, Result, TypedArray};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use url::{Url, quirks};

use super::Host;
use crate::values::{bytes, error};

pub fn add(host: &Host<'_>) -> Result<()> {
    host.add("encode", encode)?;
    host.add("jsonIsDeep", json_is_deep)?;
    host.add("decode", decode)?;
    host.add("urlParse", parse)?;
    host.add("urlSet", set)?;
    host.add("digest", digest)
}

/// Returns true if JSON text is nested deeper than `most`. What is not JSON may give either.
fn json_is_deep(text: String, most: u32) -> bool {
    let (mut depth, mut in_string, mut is_escaped) = (0_u32, false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > most {
            return true;
        }
    }
    false
}

fn encode<'js>(ctx: Ctx<'js>, text: String) -> Result<TypedArray<'js, u8>> {
    TypedArray::new(ctx, text.into_bytes())
}

/// Reads UTF-8. What is none becomes U+FFFD, or, if `fatal`, there is no text.
fn decode(bytes_of: TypedArray<'_, u8>, fatal: bool) -> Option<String> {
    match String::from_utf8(bytes(&bytes_of)) {
        Ok(text) => Some(text),
        Err(_) if fatal => None,
        Err(error) => Some(String::from_utf8_lossy(error.as_bytes()).into_owned()),
    }
}

/// The parts of a URL, as `URL` has them: `href`, `origin`, `protocol`, `username`, `password`, `host`, `hostname`,
/// `port`, `pathname`, `search` and `hash`.
fn parts(url: &Url) -> Vec<String> {
    let part = |text: &str| text.to_owned();
    vec![
        part(quirks::href(url)),
        quirks::origin(url),
        part(quirks::protocol(url)),
        part(quirks::username(url)),
        part(quirks::password(url)),
        part(quirks::host(url)),
        part(quirks::hostname(url)),
        part(quirks::port(url)),
        part(quirks::pathname(url)),
        part(quirks::search(url)),
        part(quirks::hash(url)),
    ]
}

/// Parses a URL, which may be relative to `base`. Returns `undefined` if it is not valid.
fn parse(text: String, base: Option<String>) -> Option<Vec<String>> {
    let url = match base {
        Some(base) => Url::parse(&base).ok()?.join(&text),
        None => Url::parse(&text),
    };
    url.ok().as_ref().map(parts)
}

/// Sets a part of a URL, as the setters of `URL` do: what is not valid changes nothing.
fn set(href: String, part: String, value: String) -> Option<Vec<String>> {
    let mut url = Url::parse(&href).ok()?;
    // The setters of `URL` fail silently.
    let _ = match part.as_str() {
        "href" => quirks::set_href(&mut url, &value).map_err(|_| ()),
        "protocol" => quirks::set_protocol(&mut url, &value),
        "username" => quirks::set_username(&mut url, &value),
        "password" => quirks::set_password(&mut url, &value),
        "host" => quirks::set_host(&mut url, &value),
        "hostname" => quirks::set_hostname(&mut url, &value),
        "port" => quirks::set_port(&mut url, &value),
        "pathname" => {
            quirks::set_pathname(&mut url, &value);
            Ok(())
        }
        "search" => {
            quirks::set_search(&mut url, &value);
            Ok(())
        }
        _ => {
            quirks::set_hash(&mut url, &value);
            Ok(())
        }
    };
    Some(parts(&url))
}

fn digest<'js>(
    ctx: Ctx<'js>,
    name: String,
    data: TypedArray<'js, u8>,
) -> Result<TypedArray<'js, u8>> {
    let data = bytes(&data);
    let hash = match name.as_str() {
        "SHA-1" => Sha1::digest(&data).to_vec(),
        "SHA-256" => Sha256::digest(&data).to_vec(),
        "SHA-384" => Sha384::digest(&data).to_vec(),
        "SHA-512" => Sha512::digest(&data).to_vec(),
        _ => {
            return Err(error(
                &ctx,
                &format!("{name} is not a hash; use SHA-1, SHA-256, SHA-384 or SHA-512"),
            ));
        }
    };
    TypedArray::new(ctx, hash)
}
