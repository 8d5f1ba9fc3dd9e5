// Package wording has the words that the commands and the console share: what the outcome
// of an attempt means, why an event waits, how long ago something was.
//
// It imports package admin for what it describes.
package wording
