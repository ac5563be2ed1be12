// Package greeting is what the handler answers, apart from the server, so that `go test ./greeting` can test it.
package greeting

// Greeting is the answer to a request.
type Greeting struct {
	Hello string `json:"hello"`
}

// Message is the argument of the event `chat:say`.
type Message struct {
	From string `json:"from"`
	Text string `json:"text"`
}

// To greets somebody.
func To(name string) Greeting {
	return Greeting{Hello: name}
}

// Check returns the problem with the arguments of an event, or an empty text.
func Check(messages []Message) string {
	if len(messages) == 0 || messages[0].Text == "" {
		return "there is no text in it"
	}
	return ""
}
