// The list of checks, and what they are written with.

// patience is how long anything may take to appear, in milliseconds.
export const patience = 20_000;

// checks are the checks in the order in which they run.
export const checks = [];

// check adds a check. f gets the browser and a function that notes something in the report.
export function check(name, f) {
	checks.push({ name, f });
}

// expect throws an error with a message unless something holds.
export function expect(holds, message) {
	if (!holds) {
		throw new Error(message);
	}
}

// until waits until f returns something true, and returns that.
export async function until(what, f) {
	for (const end = Date.now() + patience; ;) {
		const got = await f();
		if (got) {
			return got;
		}
		expect(Date.now() < end, `${what}: not within ${patience / 1000} s`);
		await new Promise((resolve) => setTimeout(resolve, 25));
	}
}
