package greeting

import "testing"

func TestSaysHello(t *testing.T) {
	if to := To("Ada"); to.Hello != "Ada" {
		t.Errorf("Ada is greeted as %q", to.Hello)
	}
}

func TestAMessageHasAText(t *testing.T) {
	if Check(nil) == "" || Check([]Message{{From: "Ada"}}) == "" {
		t.Error("a message without a text passes")
	}
	if problem := Check([]Message{{From: "Ada", Text: "hi"}}); problem != "" {
		t.Error(problem)
	}
}
