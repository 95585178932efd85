//! Answers about files of the first directory: `{"read": PATH}`, `{"list": PATH}`, `{"copy": PATH}` and `{"grow": PATH}`.

use serde_json::{Value, json};
use wasip3::filesystem::preopens::get_directories;
use wasip3::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};

/// The answer, if the parameters ask for a file.
pub(crate) async fn asked(params: &Value) -> Option<Value> {
    let result = if let Some(path) = params["read"].as_str() {
        read(path).await
    } else if let Some(path) = params["list"].as_str() {
        list(path).await
    } else if let Some(path) = params["copy"].as_str() {
        copy(path).await
    } else {
        grow(params["grow"].as_str()?).await
    };
    Some(result.unwrap_or_else(|code| json!({ "error": format!("{code:?}") })))
}

async fn read(path: &str) -> Result<Value, ErrorCode> {
    let text = contents(&open(path).await?).await?;
    Ok(json!(String::from_utf8_lossy(&text)))
}

/// The names in a directory, in their order.
async fn list(path: &str) -> Result<Value, ErrorCode> {
    let (names, end) = open(path).await?.read_directory();
    let names = names.collect().await;
    end.await?;
    let mut names: Vec<String> = names.into_iter().map(|entry| entry.name).collect();
    names.sort();
    Ok(json!(names))
}

/// Copies a file twice in a row. Answers with the length of the copy, and of what is read of it.
async fn copy(path: &str) -> Result<Value, ErrorCode> {
    let from = open(path).await?;
    let to = create().await?;
    let (source, end) = from.read_via_stream(0);
    to.write_via_stream(source, 0).await?;
    end.await?;
    append(&from, &to).await?;
    let read = contents(&to).await?.len();
    Ok(json!([to.stat().await?.size, read]))
}

/// Copies a file, and appends the copy to itself, which has no end of its own.
async fn grow(path: &str) -> Result<Value, ErrorCode> {
    let copy = create().await?;
    append(&open(path).await?, &copy).await?;
    append(&copy, &copy).await?;
    Ok(Value::Null)
}

/// Appends a file to one, with no code of its own between the streams.
async fn append(from: &Descriptor, to: &Descriptor) -> Result<(), ErrorCode> {
    let (source, end) = from.read_via_stream(0);
    to.append_via_stream(source).await?;
    end.await
}

/// Makes a file in the last directory.
async fn create() -> Result<Descriptor, ErrorCode> {
    let directories = get_directories();
    let Some((directory, _)) = directories.last() else {
        return Err(ErrorCode::NoEntry);
    };
    let flags = DescriptorFlags::READ | DescriptorFlags::WRITE;
    let path = "copy".to_owned();
    directory
        .open_at(PathFlags::empty(), path, OpenFlags::CREATE, flags)
        .await
}

async fn contents(file: &Descriptor) -> Result<Vec<u8>, ErrorCode> {
    let (stream, end) = file.read_via_stream(0);
    let bytes = stream.collect().await;
    end.await?;
    Ok(bytes)
}

/// Opens a path from the first directory.
async fn open(path: &str) -> Result<Descriptor, ErrorCode> {
    let directories = get_directories();
    let Some((directory, _)) = directories.first() else {
        return Err(ErrorCode::NoEntry);
    };
    let path = path.to_owned();
    directory
        .open_at(
            PathFlags::SYMLINK_FOLLOW,
            path,
            OpenFlags::empty(),
            DescriptorFlags::READ,
        )
        .await
}
