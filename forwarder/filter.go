package forwarder

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/scribegate/scribegate/verifier/event"
)

// AllEvents in a Filter selects every type, event.Test included.
const AllEvents = "*"

// A Filter selects the events that an upstream receives, by their short types. An
// empty one selects all but event.Test.
type Filter []string

// quotable matches a word that an error may quote: a type with a slip in it. Any
// other text could be a secret in the wrong place.
var quotable = regexp.MustCompile(`^[A-Za-z0-9._*,;:?{}$ -]{1,80}$`)

// Validate returns an error if a word of the filter can be no event's type and is not
// AllEvents. The error says what to write instead.
func (f Filter) Validate() error {
	for _, word := range f {
		if word == AllEvents || event.IsShortType(word) {
			continue
		}
		return errors.New(describeWord(word))
	}
	return nil
}

func describeWord(word string) string {
	subject := "a word that cannot be an event type"
	if quotable.MatchString(word) {
		subject = fmt.Sprintf("%q cannot be an event type", word)
	}
	switch {
	case word == "":
		return "a type is empty; write a type such as note.generated, or * for all events"
	case strings.ContainsAny(word, "{}"):
		return subject + ": placeholders are not replaced here; write the type itself, such as note.generated"
	case strings.ContainsAny(word, "*?"):
		return subject + ": patterns are not supported; write each type, as in note.generated note.failed, or * alone for all events"
	case strings.ContainsAny(word, ",; "):
		return subject + ": separate types with spaces, as in note.generated note.failed"
	}
	return subject + ": a type has 1 to 64 letters, digits, dots, underscores or hyphens; write one such as note.generated, or * for all events"
}

// Match reports whether events of the short type are selected.
func (f Filter) Match(shortType string) bool {
	if len(f) == 0 {
		return shortType != event.Test
	}
	return slices.Contains(f, shortType) || slices.Contains(f, AllEvents)
}
