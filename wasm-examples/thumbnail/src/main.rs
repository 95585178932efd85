//! Makes a picture fit into a box, keeping its proportions and its format: a function with real work on real bytes.

use std::io::{Cursor, read_to_string, stdin};
use std::process::ExitCode;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use image::{DynamicImage, ImageFormat, ImageReader, ImageResult, Limits};
use serde::{Deserialize, Serialize};

/// A small file can announce a huge picture; this bounds what decoding may allocate.
const DECODED_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The longest side of a thumbnail.
const SIDE_MAX: u32 = 4096;

#[derive(Deserialize)]
struct Params {
    image: String,
    width: u32,
    height: u32,
}

#[derive(Serialize)]
struct Answer {
    image: String,
    format: &'static str,
    width: u32,
    height: u32,
    original: Size,
}

#[derive(Serialize)]
struct Size {
    width: u32,
    height: u32,
}

fn main() -> ExitCode {
    match answer() {
        Ok(answer) => println!("{answer}"),
        Err(message) => {
            eprintln!("thumbnail: {message}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn answer() -> Result<String, String> {
    let input =
        read_to_string(stdin()).map_err(|error| format!("failed to read the params: {error}"))?;
    let params = serde_json::from_str(&input).map_err(|error| format!("params: {error}"))?;
    serde_json::to_string(&thumbnail(&params)?).map_err(|error| error.to_string())
}

fn thumbnail(params: &Params) -> Result<Answer, String> {
    let sides = 1..=SIDE_MAX;
    if !sides.contains(&params.width) || !sides.contains(&params.height) {
        return Err(format!("width and height must be between 1 and {SIDE_MAX}"));
    }
    let bytes = STANDARD
        .decode(&params.image)
        .map_err(|error| format!("image is not base64: {error}"))?;
    let (format, name) = match image::guess_format(&bytes) {
        Ok(ImageFormat::Png) => (ImageFormat::Png, "png"),
        Ok(ImageFormat::Jpeg) => (ImageFormat::Jpeg, "jpeg"),
        _ => return Err("image is neither PNG nor JPEG".into()),
    };
    let original =
        decode(&bytes, format).map_err(|error| format!("failed to decode image: {error}"))?;
    // A box larger than the picture must not blow it up.
    let small = original.thumbnail(
        params.width.min(original.width()),
        params.height.min(original.height()),
    );

    let mut encoded = Cursor::new(Vec::new());
    small
        .write_to(&mut encoded, format)
        .map_err(|error| format!("failed to encode the thumbnail: {error}"))?;
    Ok(Answer {
        image: STANDARD.encode(encoded.into_inner()),
        format: name,
        width: small.width(),
        height: small.height(),
        original: Size {
            width: original.width(),
            height: original.height(),
        },
    })
}

fn decode(bytes: &[u8], format: ImageFormat) -> ImageResult<DynamicImage> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(DECODED_BYTES_MAX);
    reader.limits(limits);
    reader.decode()
}
