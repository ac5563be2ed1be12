//! The calls of a command: it runs once from its start to its end, in an instance of its own.

use bytes::Bytes;
use wasmtime_wasi::I32Exit;

use super::captured::Captured;
use super::command::Command;
use super::variables::Variables;
use super::{answer, event, variables};
use crate::message::{Event, Exchange, MAX_RESPONSE_HEADER_BYTES, Response};
use crate::payload::Payload;
use crate::runtime::call::{CallContext, Outcome};
use crate::runtime::convert;
use crate::runtime::error::CallError;
use crate::runtime::guest::Guest;
use crate::runtime::instance::lease::Owner;
use crate::sockets::Connection;

/// The variable with the name of the event that the command handles.
const EVENT: &str = "HITCHY_EVENT";

impl Guest {
    /// Runs a command for a request. `rest` is the decoded path below the command's own, if there is one.
    pub(in crate::runtime) async fn request_by_cgi(
        &self,
        context: CallContext,
        command: &Command,
        exchange: &Exchange,
        rest: Option<&str>,
    ) -> Outcome<Response> {
        let request = &exchange.request;
        let path_info = rest.map_or_else(String::new, |rest| format!("/{rest}"));
        let variables = variables::of_request(exchange, &command.mount, path_info);
        let body = request.body.clone();
        let output = self.run_command(context, command, body, variables).await?;
        let answer = answer::read(&output)?;
        convert::response(answer, self.sizes()).map(Ok)
    }

    /// Runs a command for an event. What it prints is the ack.
    pub(in crate::runtime) async fn event_by_cgi(
        &self,
        context: CallContext,
        command: &Command,
        connection: &Connection,
        event: &Event,
    ) -> Outcome<Option<Payload>> {
        let input = event::input(event, connection)
            .map_err(|error| CallError::Host(format!("an event cannot be written: {error}")))?;
        let variables = vec![(EVENT.to_owned(), event.name.clone())];
        let output = self
            .run_command(context, command, Bytes::from(input), variables)
            .await?;
        let ack = event::ack(&output)?;
        let checked = ack.map(|ack| convert::ack(ack, self.sizes())).transpose()?;
        Ok(Ok(checked))
    }

    /// Runs a command once and returns its standard output. Fails if it exits with another code than 0.
    async fn run_command(
        &self,
        context: CallContext,
        command: &Command,
        input: Bytes,
        variables: Variables,
    ) -> Result<Vec<u8>, CallError> {
        let output = Captured::new(
            self.sizes()
                .answer
                .saturating_add(MAX_RESPONSE_HEADER_BYTES),
        );
        let is_success = self
            .serve(context, Owner::Anyone, async |store, linked| {
                let printed = output.clone();
                store
                    .data_mut()
                    .run_as_command(&self.name, input, printed, &variables);
                let exports = command.run.load(&mut *store, linked.component())?;
                match exports.wasi_cli_run().call_run(&mut *store).await {
                    Ok(result) => Ok(result.is_ok()),
                    Err(error) => match error.downcast_ref::<I32Exit>() {
                        // The adapter of core modules passes on only if the code was 0.
                        Some(I32Exit(code)) => Ok(*code == 0),
                        None => Err(error),
                    },
                }
            })
            .await?;
        if is_success {
            return Ok(output.take());
        }
        Err(CallError::Trap {
            cause: "the command exited with an error (a code other than 0)".to_owned(),
            frames: String::new(),
        })
    }
}
