package queue

import "strings"

// A stage is a step in the way of an event that is not a delivery to an upstream. The queue
// treats it like a delivery: it is claimed, settled, retried and counted under a name that
// no upstream can have. An Item lists its stages among its upstreams.
//
// A completion comes before the deliveries: while it is pending, no delivery of the event
// is claimed. A cleanup comes after them: it is claimed once every upstream has accepted
// the event. An event whose cleanup is pending is delivered: a stage has no part in the
// state of its event. A completion can set the event aside as unconfirmed.
const (
	completionPrefix = "<"
	cleanupPrefix    = ">"
)

// Completion returns the name of the stage that completes the events of a source before
// their first delivery.
func Completion(provider, source string) string { return completionPrefix + provider + " " + source }

// Cleanup returns the name of the stage that deletes the result at the provider after the
// last delivery.
func Cleanup(provider, source string) string { return cleanupPrefix + provider + " " + source }

// IsStage reports whether a name is that of a stage, and not of an upstream.
func IsStage(name string) bool { return IsCompletion(name) || IsCleanup(name) }

// IsCompletion reports whether a name is that of a completion.
func IsCompletion(name string) bool { return strings.HasPrefix(name, completionPrefix) }

// IsCleanup reports whether a name is that of a cleanup.
func IsCleanup(name string) bool { return strings.HasPrefix(name, cleanupPrefix) }

// StageOf returns the provider and the source of a stage.
func StageOf(name string) (provider, source string) {
	provider, source, _ = strings.Cut(name[min(1, len(name)):], " ")
	return provider, source
}
