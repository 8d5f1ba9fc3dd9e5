// Package soapnoteapi is a client of SOAPNoteAPI's REST API, as far as the gateway
// needs it: the status of a note, and the note. Of this module it imports package rest
// only.
package soapnoteapi
