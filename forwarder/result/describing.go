package result

import (
	"github.com/scribegate/scribegate/forwarder/result/rest"
	"github.com/scribegate/scribegate/forwarder/result/soniox"
	"github.com/scribegate/scribegate/verifier/event"
)

// statusOf returns the status in which Soniox must know the transcription of an event.
func statusOf(e *event.Event) string {
	if e.ShortType() == "transcription.error" {
		return soniox.Failed
	}
	return soniox.Completed
}

// failure returns the word for the error type of a transcription that failed.
func failure(errorType string) string {
	if !rest.IsWord(errorType) {
		return string(rest.InvalidAnswer)
	}
	return errorType
}

// describe returns the JSON object that describes a result without its transcript.
func describe(members []byte, unavailable string) []byte {
	if unavailable != "" {
		return append(append(append(openResult(members, "unavailable"), '"'), unavailable...), '"', '}')
	}
	return append(append([]byte{'{'}, members...), '}')
}

// openResult returns the beginning of the object that describes a result, up to the value
// of its last member.
func openResult(members []byte, last string) []byte {
	b := append([]byte{'{'}, members...)
	if len(members) > 0 {
		b = append(b, ',')
	}
	return append(append(append(b, '"'), last...), '"', ':')
}
