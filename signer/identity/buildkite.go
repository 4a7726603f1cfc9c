// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"fmt"
	"regexp"

	"github.com/sigstore/fulcio/pkg/certificate"
)

const buildkiteName = "buildkite"

// buildkite reads the tokens that the agent of a Buildkite job asks for.
// Claims: buildkite.com/docs/agent/cli/reference/oidc.
//
// One issuer serves every organisation of the world, and the ids that tell
// them apart are in the token only if the job asks for them, so they are
// required: buildkite-agent oidc request-token --claim
// organization_id,pipeline_id. There is no claim for a protected branch, and
// whoever may start a build by hand or by API may name any branch: policy can
// name the build's source, and nothing proves more. The token does not name
// the repository either; configuration may, by pipeline.
func buildkite() provider {
	return provider{
		name:       buildkiteName,
		algorithms: []string{"RS256"},
		defaultURL: func(issuer string) string {
			if issuer == "https://agent.buildkite.com" {
				return "https://buildkite.com"
			}
			return ""
		},
		read:     readBuildkite,
		settings: buildkiteSettings,
	}
}

func buildkiteSettings(s *Source) error {
	for pipeline, repository := range s.Repositories {
		if !uidForm.MatchString(pipeline) {
			return fmt.Errorf("repositories: %q is not a pipeline_id", pipeline)
		}
		if !isWebURL(repository) {
			return fmt.Errorf("repositories: %s: %q is not the http(s) URL of a repository", pipeline, repository)
		}
	}
	return nil
}

// nameForm is a name without slashes, as organisations and pipelines have them
// in URLs.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$`)

func readBuildkite(r *reader, s Source) run {
	organisation := r.matching("organization_slug", required, nameForm, "a name as in URLs")
	organisationID := r.matching("organization_id", required, uidForm, "a uid")
	pipeline := r.matching("pipeline_slug", required, nameForm, "a name as in URLs")
	pipelineID := r.matching("pipeline_id", required, uidForm, "a uid")
	build := r.whole("build_number", required)
	r.text("build_branch", required)
	r.text("build_tag", nullable)
	// A build that somebody started by hand may say HEAD here: whoever signs it
	// would not know what was built.
	commit := r.commit("build_commit", required)
	source := r.text("build_source", nullable)
	jobID := r.matching("job_id", required, uidForm, "a uid")
	r.matching("agent_id", required, uidForm, "a uid")
	runner := r.text("runner_environment", nullable)
	r.text("step_key", nullable)
	for _, name := range []string{"build_id", "cluster_id", "queue_id"} {
		r.matching(name, nullable, uidForm, "a uid")
	}
	for _, name := range []string{"cluster_name", "queue_key"} {
		r.text(name, nullable)
	}

	pipelineURI := r.uri(s.URL, organisation+"/"+pipeline)
	uri := r.uri(s.URL, organisation+"/"+pipeline+"/builds/"+build+"#"+jobID)
	return run{id: uri, san: pipelineURI, extensions: certificate.Extensions{
		RunnerEnvironment:               runner,
		SourceRepositoryURI:             s.Repositories[pipelineID],
		SourceRepositoryDigest:          commit,
		SourceRepositoryIdentifier:      pipelineID,
		SourceRepositoryOwnerIdentifier: organisationID,
		BuildTrigger:                    source,
		RunInvocationURI:                uri,
	}}
}
