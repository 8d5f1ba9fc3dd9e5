// Package sender plays SOAPNoteAPI and Soniox: it sends their requests, with synthetic
// contents, and reads the gateway's answers. It shares no code with the gateway, so that a
// mistake in one of them is not repeated in the other.
package sender
