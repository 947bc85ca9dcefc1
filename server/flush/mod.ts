/**
 * What of a gateway its destinations follow.
 *
 * @module
 */

export { type FollowedGateway, gatewaySource } from "./source.ts";
