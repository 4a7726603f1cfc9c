// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/hallmark-dev/hallmark/signer/trustroot/tuf"
)

// TUFConfig configures the trust repository, which clients learn of new keys
// from. There is one as soon as trust/1.root.json is there.
type TUFConfig struct {
	// TimestampLife is how long clients believe the newest timestamp: how long a
	// server may be gone before they refuse everything, and how long somebody
	// can keep a revocation from them. Renewed at a third of it. Default 72h.
	TimestampLife time.Duration `yaml:"timestampLife,omitempty"`
	// SnapshotLife and TargetsLife are those of the other two online roles.
	// Default 168h and 720h.
	SnapshotLife time.Duration `yaml:"snapshotLife,omitempty"`
	TargetsLife  time.Duration `yaml:"targetsLife,omitempty"`
	// RotationWait is how long a new key is published before it is used. A client
	// may be as old as a timestamp's life. Default: timestampLife.
	RotationWait time.Duration `yaml:"rotationWait,omitempty"`
	// RotationKeep is how long after its last use an old key's window is ended.
	// At least the ten minutes of a certificate. Default 1h.
	RotationKeep time.Duration `yaml:"rotationKeep,omitempty"`
	// WarnBefore is when the end of the root, or of targets whose key is kept
	// elsewhere, is warned of. Default 720h.
	WarnBefore time.Duration `yaml:"warnBefore,omitempty"`
	// ReadOnly is for replicas with a folder of their own: they follow what
	// another one writes to trust/ and tuf/, and write nothing there. Two writers
	// would contradict each other.
	ReadOnly bool `yaml:"readOnly,omitempty"`
}

// Defaults of TUFConfig.
const (
	defaultTimestampLife = 3 * 24 * time.Hour
	defaultSnapshotLife  = 7 * 24 * time.Hour
	defaultTargetsLife   = 30 * 24 * time.Hour
	defaultRotationKeep  = time.Hour
	defaultWarnBefore    = 30 * 24 * time.Hour
	// minTimestampLife leaves the server time to renew.
	minTimestampLife = time.Minute
)

func (c *TUFConfig) setDefaults() {
	for _, d := range []struct {
		value    *time.Duration
		fallback time.Duration
	}{
		{&c.TimestampLife, defaultTimestampLife}, {&c.SnapshotLife, defaultSnapshotLife}, {&c.TargetsLife, defaultTargetsLife},
		{&c.RotationKeep, defaultRotationKeep}, {&c.WarnBefore, defaultWarnBefore},
	} {
		if *d.value == 0 {
			*d.value = d.fallback
		}
	}
	if c.RotationWait == 0 {
		c.RotationWait = c.TimestampLife
	}
}

func (c *TUFConfig) check() error {
	for name, life := range map[string]time.Duration{"timestampLife": c.TimestampLife, "snapshotLife": c.SnapshotLife, "targetsLife": c.TargetsLife} {
		if life != 0 && life < minTimestampLife {
			return fmt.Errorf("tuf.%s %s is shorter than %s", name, life, minTimestampLife)
		}
	}
	if c.SnapshotLife < c.TimestampLife || c.TargetsLife < c.TimestampLife {
		return errors.New("tuf: snapshotLife and targetsLife are at least timestampLife")
	}
	if c.RotationWait < 0 || c.RotationKeep < 0 || c.WarnBefore < 0 {
		return errors.New("tuf: a duration is negative")
	}
	return nil
}

// life is how long each online role is believed.
func (c *TUFConfig) life() map[tuf.Role]time.Duration {
	return map[tuf.Role]time.Duration{tuf.RoleTargets: c.TargetsLife, tuf.RoleSnapshot: c.SnapshotLife, tuf.RoleTimestamp: c.TimestampLife}
}
