// Package recovery finds results whose webhook never arrived, and makes events of them:
// a Reconciler does so each time that it is called, Soniox and SOAPNoteAPI by hand. It also
// prunes what Soniox stores.
//
// The caller makes and stores the events, so that they are the same as the webhooks'. Of
// this module it imports package event and the clients beside it.
package recovery
