// A handler for Hitchy: a route for HTTP, and an event for socket.io clients.
//
// `hitchy dev` builds it, serves it, and replaces it on every save. `go test ./greeting` runs its tests. The packages
// below bindings have all functions and types of the contract, with comments.
package main

import (
	"encoding/json"

	"handler/bindings/export_hitchy_platform_events"
	"handler/bindings/export_hitchy_platform_http"
	"handler/bindings/export_hitchy_platform_setup"
	registration "handler/bindings/hitchy_platform_registration"
	requests "handler/bindings/hitchy_platform_requests"
	sockets "handler/bindings/hitchy_platform_sockets"
	. "handler/bindings/hitchy_platform_types"
	. "handler/bindings/values"
	_ "handler/bindings/wit_exports"
	"handler/greeting"
)

func init() {
	export_hitchy_platform_setup.Describe = describe
	export_hitchy_platform_http.OnRequest = onRequest
	export_hitchy_platform_events.OnEvent = onEvent
}

// What this handler offers. The server calls it once, when it loads the file.
func describe(to *registration.Registrar) {
	defer to.Drop()
	to.Route("GET", "/api/hello/{name}")
	to.Listener("/", "chat:say")
}

// `GET /api/hello/Ada` answers `{"hello":"Ada"}`. With several routes, `route` is the number of the one that was asked.
func onRequest(route uint32, request *requests.Request) Result[Response, Failure] {
	defer request.Drop()
	name := request.Param("name").SomeOr("")
	body, err := json.Marshal(greeting.To(name))
	if err != nil {
		return Err[Response](failure(500, err.Error()))
	}
	headers := []Tuple2[string, string]{{F0: "content-type", F1: "application/json; charset=utf-8"}}
	return Ok[Response, Failure](Response{Status: 200, Headers: headers, Body: body})
}

// `socket.emit("chat:say", { from: "Ada", text: "hi" }, (answer) => …)`. What is returned is the answer, the ack.
func onEvent(
	listener uint32, socket *sockets.Socket, event string, args Payload, ackWanted bool,
) Result[Option[Payload], Failure] {
	defer socket.Drop()
	var messages []greeting.Message
	if err := json.Unmarshal([]byte(args.Json), &messages); err != nil {
		return Err[Option[Payload]](failure(400, "the event does not fit: "+err.Error()))
	}
	if problem := greeting.Check(messages); problem != "" {
		return Err[Option[Payload]](failure(400, problem))
	}
	// Every connected client gets an event `chat:said` with the same arguments.
	if sent := sockets.Emit("chat:said", args); sent.IsErr() {
		return Err[Option[Payload]](sent.Err())
	}
	return Ok[Option[Payload], Failure](Some(Payload{Json: `["told everyone"]`}))
}

func failure(code uint16, message string) Failure {
	return Failure{Code: code, Message: message, Data: None[string]()}
}

func main() {}
