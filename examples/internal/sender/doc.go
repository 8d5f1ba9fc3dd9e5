// Package sender plays SOAPNoteAPI and Soniox: it makes their requests, with
// synthetic contents, and reads the gateway's answers. It shares nothing with
// the gateway's own code, so that the two agree only where both are right.
package sender
