// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"encoding/json"
	"strconv"
	"strings"
)

// What provenance says of the runs of each CI system. externalParameters are what
// a verifier has to check, and hold only what claims prove: source and entry point.
// builder.id alone tells how good a build is, so that it differs between classes of
// runners. Where a system has a build type of its own that many know, it is used;
// the others are this deployment's.

// githubBuildType is GitHub's own, with the parameters that it defines.
const githubBuildType = "https://actions.github.io/buildtypes/workflow/v1"

// describers add what is particular to a provider.
var describers = map[string]func(Principal, *provenanceJSON){
	"github": describeGitHub, "gitlab": describeGitLab, "buildkite": describeBuildkite, "circleci": describeCircleCI, "kubernetes": describeKubernetes,
}

// hostedRunners are the runner environments that the CI system's owner runs.
var hostedRunners = map[string]string{"github": "github-hosted", "gitlab": "gitlab-hosted", "buildkite": "buildkite-hosted"}

func describeGitHub(p Principal, pr *provenanceJSON) {
	e, d := p.Extensions, &pr.BuildDefinition
	d.BuildType = githubBuildType
	repository, path, ref := splitWorkflow(e.BuildConfigURI)
	if path == "" { // no form that GitHub writes
		repository, path, ref = e.SourceRepositoryURI, e.BuildConfigURI, e.SourceRepositoryRef
	}
	d.ExternalParameters = map[string]any{"workflow": known(map[string]string{"ref": ref, "repository": repository, "path": path})}
	d.InternalParameters["github"] = known(map[string]string{
		"event_name": e.BuildTrigger, "repository_id": e.SourceRepositoryIdentifier,
		"repository_owner_id": e.SourceRepositoryOwnerIdentifier, "runner_environment": e.RunnerEnvironment,
	})
	if e.RunnerEnvironment != "" && e.RunnerEnvironment != hostedRunners["github"] {
		pr.RunDetails.Builder.ID += "#" + e.RunnerEnvironment
	}
}

// splitWorkflow splits <url>/<owner>/<repository>/.github/workflows/<file>@<ref>
// at the first @ behind the file's name: refs and folders may have one, too.
func splitWorkflow(uri string) (repository, path, ref string) {
	const folder = "/.github/workflows/"
	repository, rest, ok := strings.Cut(uri, folder)
	if !ok {
		return "", "", ""
	}
	for i, c := range rest {
		if c == '@' && (strings.HasSuffix(rest[:i], ".yml") || strings.HasSuffix(rest[:i], ".yaml")) {
			return repository, folder[1:] + rest[:i], rest[i+1:]
		}
	}
	return "", "", ""
}

func describeGitLab(p Principal, pr *provenanceJSON) {
	pr.BuildDefinition.InternalParameters["gitlab"] = claimsOf(p, "project_id", "namespace_id", "pipeline_id", "pipeline_source", "runner_environment", "job_id")
	pr.RunDetails.Builder.ID = withClass(p.Issuer, p.Extensions.RunnerEnvironment)
}

func describeBuildkite(p Principal, pr *provenanceJSON) {
	d := &pr.BuildDefinition
	parameters := claimsOf(p, "build_branch", "build_tag")
	d.ExternalParameters = known(map[string]string{"source": p.Extensions.SourceRepositoryURI, "pipeline": p.SAN})
	for claim, name := range map[string]string{"build_branch": "branch", "build_tag": "tag"} {
		if v, ok := parameters[claim]; ok {
			d.ExternalParameters[name] = v
		}
	}
	d.InternalParameters["buildkite"] = claimsOf(p, "organization_id", "pipeline_id", "build_id", "build_number", "build_source", "job_id", "step_key", "runner_environment")
	organisation := p.SAN[:max(0, strings.LastIndexByte(p.SAN, '/'))]
	pr.RunDetails.Builder.ID = withClass(organisation, p.Extensions.RunnerEnvironment)
}

func describeCircleCI(p Principal, pr *provenanceJSON) {
	const prefix = "oidc.circleci.com/"
	claims := claimsOf(p, prefix+"org-id", prefix+"project-id", prefix+"pipeline-id", prefix+"pipeline-definition-id", prefix+"workflow-id", prefix+"job-id",
		prefix+"ssh-rerun", prefix+"context-ids")
	inner := map[string]any{}
	for name, v := range claims {
		inner[strings.TrimPrefix(name, prefix)] = v
	}
	d := &pr.BuildDefinition
	d.ExternalParameters = known(map[string]string{
		"source": p.Extensions.SourceRepositoryURI, "ref": p.Extensions.SourceRepositoryRef, "pipelineDefinition": p.SAN,
	})
	d.InternalParameters["circleci"] = inner
	// Whoever had a shell in the job could do what the pipeline does not say.
	if organisation, ok := inner["org-id"].(string); ok {
		pr.RunDetails.Builder.ID = withClass("https://circleci.com/"+organisation, p.Extensions.RunnerEnvironment)
	}
}

func describeKubernetes(p Principal, pr *provenanceJSON) {
	d := &pr.BuildDefinition
	d.ExternalParameters = map[string]any{"serviceAccount": p.SAN}
	bound, _ := p.Claims["kubernetes.io"].(map[string]any)
	inner := claimsIn(bound, "namespace")
	for _, part := range []string{"pod", "node", "serviceaccount"} {
		object, _ := bound[part].(map[string]any)
		for name, v := range claimsIn(object, "name", "uid") {
			inner[part+"_"+name] = v
		}
	}
	d.InternalParameters["kubernetes"] = inner
	if namespace, ok := inner["namespace"].(string); ok {
		pr.RunDetails.Builder.ID = p.Issuer + "/" + namespace
	}
}

// withClass tells classes of runners apart.
func withClass(builder, class string) string {
	if class == "" {
		return builder
	}
	return builder + "#" + class
}

// claimsOf are the claims of these names that there are, as texts.
func claimsOf(p Principal, names ...string) map[string]any { return claimsIn(p.Claims, names...) }

func claimsIn(claims map[string]any, names ...string) map[string]any {
	out := map[string]any{}
	for _, name := range names {
		switch v := claims[name].(type) {
		case string:
			if v != "" {
				out[name] = v
			}
		case json.Number:
			out[name] = v.String()
		case bool:
			out[name] = strconv.FormatBool(v)
		case []any:
			out[name] = v
		}
	}
	return out
}
