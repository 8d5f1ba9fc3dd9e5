// Package chain links the lines of the audit trail, and verifies that a trail is whole.
//
// A [Chain] adds three fields to each line: `node`, `seq` and `chain`. `chain` is a [Link]: the id
// of the key, the beginning of the HMAC of the line before, the time, and the HMAC of this line.
// Its parts answer these questions:
//
//   - What is authenticated? The content of a line, and not its bytes: each field that Scribegate
//     writes, the message, the node, the number, the time and the link to the line before, in a
//     [Digest] that does not depend on the encoder. A log that is formatted anew, compressed,
//     rotated or shipped elsewhere stays valid. The level and the logger are constant, and the
//     log's own time must agree with that of the link. A field that Scribegate does not write makes
//     a line invalid, so that nobody can add one.
//   - With which key? With one that is derived from the first encryption key of the store
//     ([seal.Key.Audit]). A line names its key, so that a rotation needs no line of its own. To
//     verify older lines, the older keys must be at hand.
//   - Why does a line contain the link to the line before? So that each line can be verified alone:
//     in any order, in any file, and behind a missing line. The keys are needed for that only, and
//     can stay in the gateway, which gets the digests ([Proof]). All else compares links.
//   - How are lines found that were cut off at the end? The store has the newest line of each node
//     ([queue.AuditKeeper]), and writes it with its commits. A line is the newest only when every
//     log has taken it, so the store never knows a line that no log has (after a power failure it
//     can: that is reported).
//   - What happens when the process is killed? The store then does not know the last lines, those
//     of queue.AuditDelay at most. The next process continues after the line that the store knows,
//     with the line `started`, so two lines have that number. The verification accepts this fork,
//     and checks the lines of both branches. It cannot find lines that were removed from the end
//     of the branch of the killed process, and says so. A process that is stopped writes the line
//     `stopped`, and the store knows it.
//   - And lines that could not be written? They are counted, and the next line that can be written
//     is `lines_dropped`: its number leaves out as many lines as it counts, and it is linked to the
//     last line that was written. If such a line is in a log after all, it is valid too.
//   - What is a node? The store of one process, or one process among those that share a store. If
//     another process continues the trail of a node, such as one with the same host name, the first
//     goes on under a name of its own. Processes that do not notice each other, such as those with
//     copies of a store, are found by the times in the two branches.
//   - What without a store? The lines have the same fields, with a random key that ends with the
//     process. The verification reports that nothing proves them.
//
// A person who has a key of the store can forge lines. A person who can write to the store can make it
// forget its newest lines, so that cutting them off is not found.
//
// A [Trail] reads logs and reports what is wrong. The order of the lines in a log is not part of
// the proof: a [Note] says where a log does not keep it.
//
// The package imports packages queue and seal, zap and what decompresses logs. It does not import
// Caddy.
package chain
