// Package queue defines the interface between the users of a queue of events and the
// engines that store it.
//
// The HTTP handler calls Store before it answers 200. The forwarder calls Claim, Load
// and Settle for each attempt. The admin API calls Events, Replay, Purge and Stats. A
// Queue promises that a stored event is on stable storage, and stays there until each
// of its upstreams has accepted it, or until its retention or a purge ends it.
//
// The engines are in the packages below: sqlitequeue stores the queue in one file,
// postgresqueue in a database that several nodes share. What engines share is in package
// policy, and package queuetest is the suite that each of them passes. Optional abilities
// are interfaces of their own, such as Compacter, Backuper, Cluster and AuditKeeper.
//
// Of this module it imports packages event and seal only.
package queue
