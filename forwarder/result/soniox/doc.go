// Package soniox is a client of Soniox's REST API, as far as the gateway needs it:
// transcriptions and their transcripts, the list, deleting, and the counts. It keeps
// what Soniox wrote byte for byte. Of this module it imports package rest only.
package soniox
