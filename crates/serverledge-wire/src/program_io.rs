//! The members of a function that say how a program is run: its arguments and its standard streams.

use serverledge_core::limits::{ARGS_MAX, ARGS_TEMPLATE_BYTES_MAX};
use serverledge_core::{ProgramIo, Runtime, Stdin, Stdout, arg_pieces};

use crate::function::FunctionBody;
use crate::spec_error::SpecError;

/// Checks `Arguments`, `Stdin`, `Stdout` and `StdoutType`. Whether the code is a program is seen when it is prepared.
pub(crate) fn checked(body: &FunctionBody<'_>, runtime: Runtime) -> Result<ProgramIo, SpecError> {
    check_args(&body.args)?;
    let stdin = body.stdin.parse::<Stdin>();
    let stdin = stdin.map_err(|fault| SpecError::member("Stdin", fault.to_string()))?;
    let stdout = Stdout::parse(&body.stdout, &body.stdout_type);
    let stdout = stdout.map_err(|fault| SpecError::member("Stdout", fault.to_string()))?;
    let io = ProgramIo {
        args: body.args.clone(),
        stdin,
        stdout,
    };
    if runtime == Runtime::Wasm || io.is_default() {
        return Ok(io);
    }
    let member = if !io.args.is_empty() {
        "Arguments"
    } else if io.stdin != Stdin::default() {
        "Stdin"
    } else {
        "Stdout"
    };
    let fault = format!("only programs of the runtime wasm have it; this function's is {runtime}");
    Err(SpecError::member(member, fault))
}

fn check_args(args: &[String]) -> Result<(), SpecError> {
    let fault = |fault: String| Err(SpecError::member("Arguments", fault));
    if args.len() > ARGS_MAX {
        return fault(format!(
            "{} arguments; at most {ARGS_MAX} are allowed",
            args.len()
        ));
    }
    let bytes: usize = args.iter().map(String::len).sum();
    if bytes > ARGS_TEMPLATE_BYTES_MAX {
        return fault(format!(
            "{bytes} bytes; at most {ARGS_TEMPLATE_BYTES_MAX} are allowed, all arguments together"
        ));
    }
    match args
        .iter()
        .find_map(|arg| Some((arg, arg_pieces(arg).err()?)))
    {
        Some((arg, why)) => fault(format!("{arg:?}: {why}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serverledge_core::{Digest, Flags, Function, Interface, SpaceId, Version};

    use super::*;
    use crate::function::FunctionInfo;

    fn io(members: &str) -> Result<ProgramIo, String> {
        let body = format!(r#"{{"Name":"f"{members}}}"#);
        let body = FunctionBody::parse(body.as_bytes()).map_err(|fault| fault.to_string())?;
        let spec = body.to_spec(Runtime::Wasm);
        spec.map(|spec| spec.io)
            .map_err(|fault| format!("{}: {fault}", fault.code()))
    }

    #[test]
    fn what_is_not_said_is_the_default() {
        for members in [
            "",
            r#","Arguments":null,"Stdin":null,"Stdout":null,"StdoutType":null"#,
            r#","arguments":[],"stdin":"","stdout":"","stdoutType":"""#,
            r#","Stdin":"params","Stdout":"json""#,
            r#","Runtime":"python","Stdin":"params","Stdout":"json""#,
        ] {
            assert_eq!(io(members), Ok(ProgramIo::default()), "{members}");
        }
    }

    #[test]
    fn programs_have_arguments_and_streams() {
        let found = io(
            r#","Arguments":["--width","{width}","{{}}"],"Stdin":"body","StdoutType":"image/svg+xml""#,
        );
        let expected = ProgramIo {
            args: ["--width", "{width}", "{{}}"].map(str::to_owned).to_vec(),
            stdin: Stdin::Body,
            stdout: Stdout::Raw("image/svg+xml".to_owned()),
        };
        assert_eq!(found, Ok(expected));
        let raw = io(r#","Stdout":"raw","Stdin":"none""#).unwrap();
        assert_eq!(raw.stdin, Stdin::None);
        assert_eq!(
            raw.stdout.content_type(),
            Some(serverledge_core::CONTENT_TYPE_DEFAULT)
        );
    }

    #[test]
    fn what_no_program_can_have_is_refused() {
        let refused = |members: &str| io(members).unwrap_err();
        for (members, told) in [
            (
                r#","Arguments":["ok","{"]"#,
                r#"invalid_member: invalid Arguments: "{": a { begins no {name}; {{ is a brace"#,
            ),
            (
                r#","Arguments":["a\u0000"]"#,
                r#"invalid_member: invalid Arguments: "a\0": it contains NUL"#,
            ),
            (
                r#","Stdin":"file""#,
                r#"invalid_member: invalid Stdin: unknown standard input "file"; known are params, body and none"#,
            ),
            (
                r#","Stdout":"text""#,
                r#"invalid_member: invalid Stdout: unknown standard output "text"; known are json and raw"#,
            ),
            (
                r#","Runtime":"javascript","Arguments":["a"]"#,
                "invalid_member: invalid Arguments: only programs of the runtime wasm have it; this function's is javascript",
            ),
            (
                r#","Runtime":"python","Stdin":"none""#,
                "invalid_member: invalid Stdin: only programs of the runtime wasm have it; this function's is python",
            ),
            (
                r#","Runtime":"python","StdoutType":"a/b""#,
                "invalid_member: invalid Stdout: only programs of the runtime wasm have it; this function's is python",
            ),
        ] {
            assert_eq!(refused(members), told);
        }
        assert!(refused(r#","Arguments":"-v""#).starts_with("member \"Arguments\": invalid type"));
        let many = vec!["a"; ARGS_MAX + 1];
        let many = refused(&format!(
            r#","Arguments":{}"#,
            serde_json::to_string(&many).unwrap()
        ));
        assert!(
            many.ends_with("65 arguments; at most 64 are allowed"),
            "{many}"
        );
        let long = "a".repeat(ARGS_TEMPLATE_BYTES_MAX);
        let long = refused(&format!(r#","Arguments":["{long}","b"]"#));
        let told = "8193 bytes; at most 8192 are allowed, all arguments together";
        assert!(long.ends_with(told), "{long}");
    }

    /// A deployed function as a request, and as it is shown, says what it was deployed with, and no more.
    #[test]
    fn what_is_deployed_is_told() {
        let told = |members: &str| {
            let body = format!(r#"{{"Name":"f"{members}}}"#);
            let body = FunctionBody::parse(body.as_bytes()).unwrap();
            let spec = body.to_spec(Runtime::Wasm).unwrap();
            let version = Version {
                digest: Digest::new([1; 32]),
                runtime: spec.runtime,
                code: Digest::new([2; 32]),
                handler: spec.handler,
                env: spec.env,
                secrets: spec.secrets,
                network: spec.network,
                outbound: spec.outbound,
                image: spec.image,
                io: spec.io.clone(),
                limits: spec.limits,
            };
            let function = Function {
                space: SpaceId::default_space(),
                name: spec.name,
                version: Arc::new(version),
                interface: Interface::Http,
                flags: Flags::default(),
                signature: None,
            };
            let again = FunctionBody::from(&function);
            assert_eq!(again.to_spec(Runtime::Wasm).unwrap().io, spec.io);
            let info = serde_json::to_value(FunctionInfo::from(&function)).unwrap();
            ["Arguments", "Stdin", "Stdout", "StdoutType"].map(|member| info[member].clone())
        };
        assert!(told("").iter().all(serde_json::Value::is_null));
        assert_eq!(
            serde_json::json!(told(
                r#","Arguments":["-"],"Stdin":"body","StdoutType":"text/plain""#
            )),
            serde_json::json!([["-"], "body", "raw", "text/plain"])
        );
    }
}
