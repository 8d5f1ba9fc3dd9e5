package pages

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/caddymodule/internal/operate"
	"github.com/scribegate/scribegate/caddymodule/internal/wording"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/result"
)

// An explained is a cause in words.
type explained struct {
	Upstream string // of dead deliveries
	Title    string
	Means    string
	Do       string
}

// explain returns a cause in words.
func explain(state queue.State, c operate.Cause) explained {
	switch state {
	case queue.Dead:
		e := explained{Upstream: c.Upstream, Title: string(c.Outcome), Means: sentence(wording.Meaning(admin.Attempt{Outcome: c.Outcome, Status: c.Status})), Do: adviceFor(c)}
		if c.Status != 0 {
			e.Title += " " + strconv.Itoa(c.Status)
		} else if c.Outcome == "" {
			e.Title = "no attempt is known"
		}
		return e
	case queue.Unrouted:
		return explained{Title: c.Type, Means: "No upstream accepts this type.", Do: "Add the type to the events of an upstream that the handler delivers to, reload, then replay. Or drop the type in the handler, and purge."}
	case queue.Unconfirmed:
		return explained{Title: c.Reason, Means: "Likely causes: " + result.LikelyCauses + ".", Do: "Correct the cause, then replay: the provider is asked again. Purge what was forged."}
	default:
		return explained{Title: c.Reason, Means: "The request was genuine, and its body was not understood.", Do: "Export the bytes, and ask the provider what it changed. Fetch what is missing with caddy scribegate recover, then purge."}
	}
}

// adviceFor returns what to do about dead deliveries.
func adviceFor(c operate.Cause) string {
	const then = ", then replay."
	switch s := c.Status; {
	case c.Outcome == queue.Gone:
		return "The backend asked never to get it again. Purge, or replay once the backend wants it."
	case c.Outcome == queue.Timeout:
		return "Make the backend answer sooner, or raise timeout of the upstream" + then
	case s == http.StatusUnauthorized || s == http.StatusForbidden:
		return "Compare the upstream's signing_secret and credentials with what the backend expects" + then
	case s == http.StatusNotFound || s == http.StatusMethodNotAllowed:
		return "Correct the upstream's address, or add the missing path to the backend" + then
	case s == http.StatusRequestEntityTooLarge:
		return "Raise the largest body that the backend accepts" + then
	case s >= 300 && s < 400:
		return "Put the address that the redirect leads to into the upstream" + then
	case s >= 400 && s < 500:
		return "Find in the backend's log why it refused the event, fix it" + then
	case s >= 500:
		return "Fix the backend" + then
	}
	return "Find the cause in Caddy's log, fix it" + then
}

// meansOf returns what a state is.
func meansOf(state queue.State, c *gateway.Config) string {
	kept := ""
	if c != nil {
		kept = " They are kept for " + span(c.Settings.DeadRetention) + " with their payloads (dead_retention)."
	}
	switch state {
	case queue.Dead:
		return "Deliveries that failed at every attempt, or that the upstream refused for good." + kept
	case queue.Unrouted:
		return "Genuine events that no upstream accepts." + kept
	case queue.Unconfirmed:
		return "Events that their provider does not know. They are not delivered unless the provider confirms them." + kept
	default:
		return "Genuine requests whose body is not what the provider documents." + kept
	}
}

// title returns the name of a state's page.
func title(state queue.State) string { return strings.TrimSuffix(sentence(string(state)), ".") }
