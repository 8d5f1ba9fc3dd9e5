// Package credentials returns the secret header that an event is sent with to an upstream of
// the format raw.
//
// An event records the provider, the source and the header's name of the handler that
// received it, but not the secret. A [Set] finds the handlers with these three, and refuses to
// choose between different secrets.
//
// The package imports zap, and no other package of Scribegate.
package credentials
