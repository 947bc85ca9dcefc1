import assert from "node:assert/strict";
import * as fc from "fast-check";
import { Intake } from "./intake.ts";

Deno.test("G11: Intake knows what is held of a message that does not end", () => {
  fc.assert(fc.property(
    fc.nat(10_000_000),
    fc.array(fc.record({ whole: fc.array(fc.nat(1000), { maxLength: 3 }), part: fc.nat(1000) })),
    (before, looks) => {
      const intake = new Intake();
      let received = before;
      let part = 0;
      assert.equal(intake.look(received), 0);
      for (const look of looks) {
        for (const bytes of look.whole) {
          received += bytes;
          intake.message(part + bytes);
          part = 0;
        }
        received += look.part;
        part += look.part;
        const held = intake.look(received);
        assert.ok(held <= part, "it counts no more than there is");
        if (look.whole.length === 0) assert.ok(held >= look.part);
      }
    },
  ));
});

Deno.test("G11: Intake adds up what comes in many looks", () => {
  const intake = new Intake();
  intake.look(500);
  for (let i = 1; i <= 10; i++) assert.equal(intake.look(500 + i * 100), i * 100);
  intake.message(1_000);
  assert.equal(intake.look(1_500), 0);
});
