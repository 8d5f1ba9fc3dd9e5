package pages

import (
	"time"

	"github.com/scribegate/scribegate/caddymodule/internal/activity"
	"github.com/scribegate/scribegate/verifier"
)

// A rejection is why requests were rejected, with a hint.
type rejection struct {
	Provider string
	Reason   string
	Count    string
	Last     moment
	Client   string
	hint
}

// A hint is what a rejection usually means, and what to do.
type hint struct{ Means, Do string }

// A genuine is when a provider last sent a genuine request. It distinguishes a provider that
// sends nothing from one whose requests are all rejected.
type genuine struct {
	Provider string
	Last     moment
}

// newRejections returns the rejections of the process.
func newRejections(all []activity.Rejection, now time.Time) []rejection {
	out := make([]rejection, len(all))
	for i, r := range all {
		out[i] = rejection{r.Provider, string(r.Reason), comma(int64(r.Count)), ago(r.Last, now), r.Client, hints[r.Reason]}
	}
	return out
}

// newGenuine returns the last genuine request of each provider that has a handler.
func newGenuine(a *activity.Recorder, now time.Time) (all []genuine) {
	for _, name := range a.Providers() {
		last, _ := a.LastGenuine(name)
		all = append(all, genuine{name, ago(last, now)})
	}
	return all
}

// The hints for each reason.
var hints = map[verifier.Reason]hint{
	verifier.Method: {
		"The request was not a POST: somebody opened the address in a browser, or a scanner found it.",
		"Nothing, unless it comes from the provider: then the address there has a redirect in front, which turns a POST into a GET.",
	},
	verifier.Encoding: {
		"The body was compressed. Neither provider compresses its webhooks.",
		"Look for a proxy in front that compresses requests, and turn that off.",
	},
	verifier.TooLarge: {
		"The body was larger than max_body.",
		"If it comes from the provider, raise max_body of the handler; 32MiB is the most.",
	},
	verifier.HeaderRepeated: {
		"A header of the proof came more than once.",
		"Look for a proxy in front that adds the header again.",
	},
	verifier.SignatureMissing: {
		"The request had no signature: somebody else sent it, or a proxy in front removed the header.",
		"If it comes from SOAPNoteAPI, have the proxy keep the headers X-SoapNoteAPI-Signature and X-SoapNoteAPI-Timestamp.",
	},
	verifier.TimestampMissing: {
		"The request had no timestamp: somebody else sent it, or a proxy in front removed the header.",
		"If it comes from SOAPNoteAPI, have the proxy keep the header X-SoapNoteAPI-Timestamp.",
	},
	verifier.SignatureMalformed: {
		"The signature was not 64 hexadecimal digits: it is that of another service, or was changed on its way.",
		"See that the provider's address leads to the handler of this provider.",
	},
	verifier.TimestampMalformed: {
		"The timestamp was not a number of seconds: it is that of another service, or was changed on its way.",
		"See that the provider's address leads to the handler of this provider.",
	},
	verifier.TimestampStale: {
		"The request was signed longer ago than tolerance: it was repeated, waited on its way, or this machine's clock is fast.",
		"Check the clock of this machine (timedatectl). SOAPNoteAPI never repeats a webhook: fetch missed notes with caddy scribegate recover soapnoteapi.",
	},
	verifier.TimestampFuture: {
		"The request was signed in the future: this machine's clock is slow.",
		"Check the clock of this machine (timedatectl).",
	},
	verifier.AuthMissing: {
		"The request had no secret: somebody else sent it, or the webhook was made without its header.",
		"If it comes from Soniox, set webhook_auth_header_name and webhook_auth_header_value where the transcription is made.",
	},
	verifier.AuthMismatch: {
		"The secret was wrong: that of another environment, one that was rotated, or a guess.",
		"Compare webhook_auth_header_value with the header in the handler, scheme included. While rotating, list both values.",
	},
	verifier.Incomplete: {
		"The body did not arrive whole within 10 seconds.",
		"Look at the connection to the provider or to the proxy in front. A single one is no concern.",
	},
	verifier.SignatureMismatch: {
		"The signature does not fit the body and the secret: the secret is that of another environment or was rotated, or a proxy changed the body.",
		"Compare the secret with the one in SOAPNoteAPI's dashboard. Find the cause with a captured request: caddy scribegate verify soapnoteapi.",
	},
	verifier.Payload: {
		"The request is genuine, but its body is not the JSON that the provider documents. Where it could be kept, it is quarantined.",
		"Look at the quarantined events, and ask the provider what it changed.",
	},
	verifier.Unavailable: {
		"The event could not be stored in time, and the provider was answered 503.",
		"See the first line of this page and Caddy's log: the store is full, its disk is slow, or its database is away.",
	},
}
